"""The training side: one folder a framework, and nothing outside it imports that framework.

Each implements `training.protocols`; what has no framework in it is in `training`.
"""
