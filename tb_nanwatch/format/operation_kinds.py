"""What TensorFlow's operations do with their operands, by type."""

from __future__ import annotations

REDUCTIONS = frozenset(
    {
        *("Mean", "Sum", "Prod", "Max", "Min", "EuclideanNorm", "L2Loss", "Cumsum", "Cumprod"),
        *("SegmentSum", "SegmentMean", "SegmentProd", "UnsortedSegmentSum", "UnsortedSegmentProd"),
        *("AvgPool", "AvgPool3D", "AddN", "BiasAddGrad"),
    }
)
"""Operations of which an element of the result is made of many elements of one operand."""

PRODUCTS = frozenset(
    {
        *("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum", "_FusedMatMul"),
        *("SparseTensorDenseMatMul", "XlaDot", "XlaDotV2", "Conv", "Conv2D", "Conv3D"),
        *("DepthwiseConv2dNative", "_FusedConv2D", "XlaConv", "XlaConvV2"),
        *("Conv2DBackpropInput", "Conv2DBackpropFilter"),
        *("Conv3DBackpropInputV2", "Conv3DBackpropFilterV2"),
        *("DepthwiseConv2dNativeBackpropInput", "DepthwiseConv2dNativeBackpropFilter"),
    }
)
"""Operations that sum products of the elements of two operands."""

SUMMING = REDUCTIONS | PRODUCTS
"""Operations whose operands have no element that belongs to one element of the result."""

EXPONENTIALS = frozenset({"Exp", "Expm1", "Sinh", "Cosh"})
"""Operations that overflow float32 at an operand of 89."""
