//! The part of the ONNX file format that exported graphs need, as protocol buffer messages; field numbers are the
//! format's. Nothing here knows what a graph computes.

#![allow(missing_docs)] // names and meanings are those of onnx.proto

/// Version of the intermediate representation; 8 goes with opset 17.
pub const IR_VERSION: i64 = 8;
/// Version of the operator set.
pub const OPSET_VERSION: i64 = 17;

const FLOAT: i32 = 1;
const INT64: i32 = 7;

#[derive(Clone, PartialEq, prost::Message)]
pub struct Model {
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    #[prost(string, tag = "2")]
    pub producer_name: String,
    #[prost(string, tag = "3")]
    pub producer_version: String,
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSet>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct OperatorSet {
    #[prost(string, tag = "1")]
    pub domain: String,
    #[prost(int64, tag = "2")]
    pub version: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<Node>,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfo>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Node {
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(string, tag = "4")]
    pub op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<Attribute>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Attribute {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(float, optional, tag = "2")]
    pub f: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub ints: Vec<i64>,
    #[prost(int32, tag = "20")]
    pub kind: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Tensor {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    #[prost(string, tag = "8")]
    pub name: String,
    #[prost(bytes = "vec", tag = "9")]
    pub raw_data: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ValueInfo {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub kind: Option<Type>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Type {
    #[prost(message, optional, tag = "1")]
    pub tensor: Option<TensorType>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorType {
    #[prost(int32, tag = "1")]
    pub element: i32,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<Shape>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Shape {
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<Dimension>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Dimension {
    #[prost(oneof = "Length", tags = "1, 2")]
    pub length: Option<Length>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Length {
    #[prost(int64, tag = "1")]
    Value(i64),
    #[prost(string, tag = "2")]
    Name(String),
}

impl Attribute {
    /// A float.
    pub fn float(name: &str, value: f32) -> Self {
        Self { name: name.into(), f: Some(value), kind: 1, ..Self::default() }
    }

    /// An integer.
    pub fn int(name: &str, value: i64) -> Self {
        Self { name: name.into(), i: Some(value), kind: 2, ..Self::default() }
    }

    /// A list of integers.
    pub fn ints(name: &str, values: &[usize]) -> Self {
        Self {
            name: name.into(),
            ints: values.iter().map(|v| *v as i64).collect(),
            kind: 7,
            ..Self::default()
        }
    }
}

impl Tensor {
    /// Floats of that shape.
    pub fn floats(name: &str, shape: &[usize], values: &[f32]) -> Self {
        let raw_data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let dims = shape.iter().map(|side| *side as i64).collect();
        Self { dims, data_type: FLOAT, name: name.into(), raw_data }
    }

    /// A list of integers.
    pub fn ints(name: &str, values: &[i64]) -> Self {
        let raw_data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self { dims: vec![values.len() as i64], data_type: INT64, name: name.into(), raw_data }
    }
}

impl ValueInfo {
    /// Floats \[N, shape...\], N free.
    pub fn batch(name: &str, shape: [usize; 3]) -> Self {
        let free = Length::Name("N".into());
        let lengths = std::iter::once(free).chain(shape.map(|side| Length::Value(side as i64)));
        let dim = lengths.map(|length| Dimension { length: Some(length) }).collect();
        let tensor = TensorType { element: FLOAT, shape: Some(Shape { dim }) };
        Self { name: name.into(), kind: Some(Type { tensor: Some(tensor) }) }
    }
}
