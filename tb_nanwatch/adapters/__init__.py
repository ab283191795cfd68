"""The training side: one folder a framework, and nothing outside it imports that framework."""
