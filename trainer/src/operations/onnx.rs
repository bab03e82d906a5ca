//! The interpreter that writes ONNX nodes: each operation appends what computes it and names the result. Export is
//! thus a trace of the backbone, not a second network.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
};

use sparsight_runtime::replace::sha256_hex;

use super::{Operations, Window};
use crate::{
    onnx::{Attribute, Graph, Model, Node, OPSET_VERSION, OperatorSet, Tensor, ValueInfo},
    weights::NamedParameters,
};

/// A graph under construction.
pub struct OnnxOperations<'a> {
    parameters: HashMap<&'a str, (&'a [usize], &'a [f32])>,
    drawn: RefCell<Drawn>,
}

/// What has been drawn so far. Values are numbered in the order of their nodes.
#[derive(Default)]
struct Drawn {
    nodes: Vec<Node>,
    initializers: Vec<Tensor>,
    known: HashSet<String>,
}

impl<'a> OnnxOperations<'a> {
    /// An empty graph that may use these parameters.
    pub fn new(parameters: &'a NamedParameters) -> Self {
        let by_name = |(name, shape, values): &'a (String, Vec<usize>, Vec<f32>)| {
            (name.as_str(), (&shape[..], &values[..]))
        };
        Self { parameters: parameters.iter().map(by_name).collect(), drawn: RefCell::default() }
    }

    /// The model that computes `output` from `inputs`; nodes and constants that it doesn't need are left out.
    pub fn into_model(self, name: &str, inputs: Vec<ValueInfo>, output: &str, shape: [usize; 3]) -> Model {
        let Drawn { mut nodes, mut initializers, .. } = self.drawn.into_inner();
        let mut needed = HashSet::from([output.to_owned()]);
        nodes.reverse();
        nodes.retain(|node| {
            let used = node.output.iter().any(|value| needed.contains(value));
            if used {
                needed.extend(node.input.iter().cloned());
            }
            used
        });
        nodes.reverse();
        initializers.retain(|tensor| needed.contains(&tensor.name));
        let graph = Graph {
            node: nodes,
            name: name.into(),
            initializer: initializers,
            input: inputs,
            output: vec![ValueInfo::batch(output, shape)],
        };
        Model {
            ir_version: crate::onnx::IR_VERSION,
            producer_name: "sparsight-train".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(graph),
            opset_import: vec![OperatorSet { domain: String::new(), version: OPSET_VERSION }],
        }
    }

    /// Gives a value the name of a graph's output.
    pub fn name(&self, value: &str, name: &str) {
        let mut drawn = self.drawn.borrow_mut();
        let node = Node {
            input: vec![value.into()],
            output: vec![name.into()],
            name: name.into(),
            op_type: "Identity".into(),
            attribute: vec![],
        };
        drawn.nodes.push(node);
    }

    fn node(&self, op_type: &str, inputs: &[&str], attribute: Vec<Attribute>) -> String {
        let mut drawn = self.drawn.borrow_mut();
        let name = format!("{}_{}", op_type.to_lowercase(), drawn.nodes.len());
        let input = inputs.iter().map(|value| (*value).to_owned()).collect();
        let node = Node {
            input,
            output: vec![name.clone()],
            name: name.clone(),
            op_type: op_type.into(),
            attribute,
        };
        drawn.nodes.push(node);
        name
    }

    fn initializer(&self, name: String, tensor: impl FnOnce(&str) -> Tensor) -> String {
        let mut drawn = self.drawn.borrow_mut();
        if drawn.known.insert(name.clone()) {
            drawn.initializers.push(tensor(&name));
        }
        name
    }

    fn constant(&self, value: f64) -> String {
        self.initializer(format!("constant_{value:e}"), |name| Tensor::floats(name, &[], &[value as f32]))
    }

    fn filled(&self, length: usize, value: f32) -> String {
        self.initializer(format!("filled_{length}_{value}"), |name| {
            Tensor::floats(name, &[length], &vec![value; length])
        })
    }
}

fn window_attributes(window: Window) -> Vec<Attribute> {
    let Window { side, stride, padding } = window;
    vec![
        Attribute::ints("kernel_shape", &[side, side]),
        Attribute::ints("strides", &[stride, stride]),
        Attribute::ints("pads", &[padding; 4]),
    ]
}

impl Operations for OnnxOperations<'_> {
    type Tensor = String;

    fn parameter(&self, name: &str) -> String {
        let Some((shape, values)) = self.parameters.get(name) else {
            unreachable!("the backbone asked for {name}, which its config doesn't list")
        };
        // A norm's parameter broadcasts over height and width.
        let shape = if let [channels] = shape { vec![1, *channels, 1, 1] } else { shape.to_vec() };
        self.initializer(name.to_owned(), |name| Tensor::floats(name, &shape, values))
    }

    fn plane(&self, values: &[f64], [height, width]: [usize; 2]) -> String {
        // Named by its content, so that equal planes are stored once and different ones never mixed up.
        let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let name = format!("plane_{height}x{width}_{}", &sha256_hex(&bytes)[..16]);
        self.initializer(name, |name| Tensor::floats(name, &[1, 1, height, width], &values))
    }

    fn affine(&self, x: &String, scale: f64, shift: f64) -> String {
        let scaled = self.node("Mul", &[x, &self.constant(scale)], vec![]);
        if shift == 0.0 { scaled } else { self.node("Add", &[&scaled, &self.constant(shift)], vec![]) }
    }

    fn add(&self, x: &String, y: &String) -> String {
        self.node("Add", &[x, y], vec![])
    }

    fn sub(&self, x: &String, y: &String) -> String {
        self.node("Sub", &[x, y], vec![])
    }

    fn mul(&self, x: &String, y: &String) -> String {
        self.node("Mul", &[x, y], vec![])
    }

    fn scale(&self, x: &String, scale: &String) -> String {
        self.mul(x, scale)
    }

    fn scale_shift(&self, x: &String, scale: &String, shift: &String) -> String {
        self.add(&self.mul(x, scale), shift)
    }

    fn convolution(&self, x: &String, weight: &String, window: Window) -> String {
        self.node("Conv", &[x, weight], window_attributes(window))
    }

    fn transposed_convolution(
        &self,
        y: &String,
        weight: &String,
        window: Window,
        onto: [usize; 2],
    ) -> String {
        let mut attributes = window_attributes(window);
        attributes.push(Attribute::ints("output_padding", &window.unreached(onto)));
        self.node("ConvTranspose", &[y, weight], attributes)
    }

    fn average_pool(&self, x: &String, window: Window) -> String {
        let mut attributes = window_attributes(window);
        attributes.push(Attribute::int("count_include_pad", 1));
        self.node("AveragePool", &[x], attributes)
    }

    // One channel at a time, as a transposed convolution by the constant 1 / side^2.
    fn transposed_average_pool(&self, y: &String, window: Window, onto: [usize; 2]) -> String {
        let from = window.apply(onto);
        let side = window.side;
        let kernel = self.initializer(format!("mean_kernel_{side}"), |name| {
            Tensor::floats(name, &[1, 1, side, side], &vec![1.0 / (side * side) as f32; side * side])
        });
        let channels = self.node("Shape", &[y], vec![Attribute::int("start", 0), Attribute::int("end", 2)]);
        let one_channel = self.initializer(format!("one_channel_{}x{}", from[0], from[1]), |name| {
            Tensor::ints(name, &[-1, 1, from[0] as i64, from[1] as i64])
        });
        let planes = self.node("Reshape", &[y, &one_channel], vec![]);
        let planes = self.transposed_convolution(&planes, &kernel, window, onto);
        let size = self.initializer(format!("size_{}x{}", onto[0], onto[1]), |name| {
            Tensor::ints(name, &[onto[0] as i64, onto[1] as i64])
        });
        let shape = self.node("Concat", &[&channels, &size], vec![Attribute::int("axis", 0)]);
        self.node("Reshape", &[&planes, &shape], vec![])
    }

    fn reshape(&self, x: &String, [a, b, c]: [usize; 3]) -> String {
        // A zero keeps the batch's length.
        let shape = self.initializer(format!("shape_{a}x{b}x{c}"), |name| {
            Tensor::ints(name, &[0, a as i64, b as i64, c as i64])
        });
        self.node("Reshape", &[x, &shape], vec![])
    }

    fn standardize(&self, x: &String, epsilon: f64) -> (String, String) {
        let groups = sparsight_schemas::NORM_GROUPS;
        let (one, zero) = (self.filled(groups, 1.0), self.filled(groups, 0.0));
        let attributes = vec![Attribute::float("epsilon", epsilon as f32)];
        let standardized = self.node("InstanceNormalization", &[x, &one, &zero], attributes);
        // Only the VJP needs the deviation; elsewhere these nodes are left out.
        let centred = self.sub(x, &self.mean(x));
        let variance = self.mean(&self.mul(&centred, &centred));
        let deviation = self.node("Sqrt", &[&self.affine(&variance, 1.0, epsilon)], vec![]);
        (standardized, self.reciprocal(&deviation))
    }

    fn standardize_vjp(&self, s: &String, r: &String, v: &String) -> String {
        let centred = self.sub(v, &self.mean(v));
        let along = self.mul(s, &self.mean(&self.mul(v, s)));
        self.mul(&self.sub(&centred, &along), r)
    }

    fn mean(&self, x: &String) -> String {
        let attributes = vec![Attribute::ints("axes", &[2, 3]), Attribute::int("keepdims", 1)];
        self.node("ReduceMean", &[x], attributes)
    }

    fn elu(&self, x: &String) -> String {
        self.node("Elu", &[x], vec![Attribute::float("alpha", 1.0)])
    }

    fn elu_vjp(&self, x: &String, g: &String) -> String {
        let below = self.node("Min", &[x, &self.constant(0.0)], vec![]);
        self.mul(g, &self.node("Exp", &[&below], vec![]))
    }

    fn tanh(&self, x: &String) -> String {
        self.node("Tanh", &[x], vec![])
    }

    fn log(&self, x: &String) -> String {
        self.node("Log", &[x], vec![])
    }

    fn reciprocal(&self, x: &String) -> String {
        self.node("Reciprocal", &[x], vec![])
    }
}
