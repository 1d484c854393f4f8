"""The operators of TensorFlow that a SavedModel may have: all of them only compute.

None reads or writes a file, opens a connection, runs Python or prints. What is written here covers
the exports of this package, and the layers of Keras that other backbones may have. A name is added
only after its documentation says the same of it.
"""

__all__ = ["CHECKPOINT", "OPERATORS"]

CHECKPOINT = frozenset({"AssignVariableOp", "MergeV2Checkpoints", "RestoreV2", "SaveV2"})
"""Write, read and change weights. Every SavedModel has them, outside of what it can be asked."""

_FLOW = """
Assert Case Const EnsureShape Identity IdentityN If NoOp PartitionedCall Placeholder
PlaceholderWithDefault PreventGradient ShardedFilename StatefulPartitionedCall StatelessCase
StatelessIf StatelessWhile StopGradient While
"""

_VARIABLES = """
DisableCopyOnRead ReadVariableOp ResourceGather ResourceGatherNd VarHandleOp VarIsInitializedOp
VariableShape
"""

_LISTS = """
EmptyTensorList TensorListConcatV2 TensorListElementShape TensorListFromTensor TensorListGather
TensorListGetItem TensorListLength TensorListPopBack TensorListPushBack TensorListReserve
TensorListResize TensorListScatterV2 TensorListSetItem TensorListSplit TensorListStack
"""

_STRINGS = """
AsString DecodeBase64 DecodePaddedRaw DecodeRaw EncodeBase64 ParseExampleV2 ReduceJoin
RegexFullMatch RegexReplace StaticRegexFullMatch StaticRegexReplace StringJoin StringLength
StringLower StringSplitV2 StringStrip StringToNumber StringUpper Substr UnicodeDecode
UnicodeDecodeWithOffsets UnicodeEncode UnicodeScript UnicodeTranscode
"""

_IMAGES = """
AdjustContrastv2 AdjustHue AdjustSaturation CropAndResize DecodeAndCropJpeg DecodeBmp DecodeGif
DecodeImage DecodeJpeg DecodePng DecodeWebP ExtractImagePatches ExtractJpegShape HSVToRGB
ImageProjectiveTransformV3 NonMaxSuppressionV5 RGBToHSV ResizeArea ResizeBicubic ResizeBilinear
ResizeNearestNeighbor ScaleAndTranslate
"""

_ARRAYS = """
All Any ArgMax ArgMin BatchToSpaceND Bincount Bitcast BroadcastArgs BroadcastGradientArgs
BroadcastTo Bucketize Cast ClipByValue Concat ConcatOffset ConcatV2 Cumprod Cumsum DenseBincount
DepthToSpace Diag DiagPart DynamicPartition DynamicStitch ExpandDims Fill Gather GatherNd GatherV2
InTopKV2 InvertPermutation IsFinite IsInf IsNan LinSpace ListDiff LowerBound MatrixBandPart
MatrixDiagPartV3 MatrixDiagV3 Max Mean Min MirrorPad OneHot OnesLike Pack Pad PadV2 ParallelConcat
ParallelDynamicStitch Prod RaggedBincount RaggedGather RaggedRange RaggedTensorFromVariant
RaggedTensorToTensor RaggedTensorToVariant Range Rank Reshape ReverseSequence ReverseV2 Roll
ScatterNd SegmentMax SegmentMean SegmentMin SegmentProd SegmentSum Select SelectV2 Shape ShapeN
Size Slice Snapshot SpaceToBatchND SpaceToDepth Split SplitV Squeeze StridedSlice StridedSliceGrad
Sum TensorScatterAdd TensorScatterMax TensorScatterMin TensorScatterSub TensorScatterUpdate Tile
TopKV2 Transpose Unique UniqueV2 UniqueWithCounts Unpack UnravelIndex UnsortedSegmentMax
UnsortedSegmentMin UnsortedSegmentProd UnsortedSegmentSum UpperBound Where ZerosLike
"""

_NUMBERS = """
Abs AccumulateNV2 Acos Acosh Add AddN AddV2 ApproximateEqual Asin Asinh Atan Atan2 Atanh
BitwiseAnd BitwiseOr BitwiseXor Ceil Complex ComplexAbs Conj Cos Cosh Digamma Div DivNoNan Einsum
Equal Erf Erfc Erfinv Exp Expm1 Floor FloorDiv FloorMod Greater GreaterEqual Imag Inv Invert
LeftShift Less LessEqual Lgamma Log Log1p LogicalAnd LogicalNot LogicalOr Maximum Minimum Mod Mul
MulNoNan Ndtri Neg NextAfter NotEqual Polygamma Pow Real RealDiv Reciprocal RightShift Rint Round
Rsqrt Sigmoid Sign Sin Sinh Sqrt Square SquaredDifference Sub Tan Tanh TruncateDiv TruncateMod
Xdivy Xlog1py Xlogy Zeta
"""

_LAYERS = """
AvgPool AvgPool3D BatchMatMul BatchMatMulV2 BatchMatMulV3 BiasAdd BiasAddV1 Conv2D
Conv2DBackpropInput Conv3D Conv3DBackpropInputV2 CumulativeLogsumexp DepthwiseConv2dNative
Dilation2D Elu FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 L2Loss LRN LeakyRelu LogSoftmax
MatMul MaxPool MaxPool3D MaxPoolV2 MaxPoolWithArgmax Relu Relu6 Selu Softmax
SoftmaxCrossEntropyWithLogits Softplus Softsign SparseSoftmaxCrossEntropyWithLogits
"""

_GRADIENTS = """
AvgPoolGrad BiasAddGrad Conv2DBackpropFilter DepthwiseConv2dNativeBackpropFilter
DepthwiseConv2dNativeBackpropInput EluGrad FusedBatchNormGradV3 InvGrad LeakyReluGrad MaxPoolGrad
MaxPoolGradV2 ReciprocalGrad Relu6Grad ReluGrad ResizeBilinearGrad RsqrtGrad SeluGrad SigmoidGrad
SoftplusGrad SoftsignGrad SqrtGrad TanhGrad
"""

OPERATORS = frozenset(
    " ".join(
        (_FLOW, _VARIABLES, _LISTS, _STRINGS, _IMAGES, _ARRAYS, _NUMBERS, _LAYERS, _GRADIENTS)
    ).split()
)
