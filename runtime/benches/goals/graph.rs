//! The iterations of sparse coding as an ONNX graph, from unfolded features to energies. Only the few messages of the
//! format that it takes are written here.

use sparsight_runtime::sparse_coding::lambdas;
use sparsight_schemas::SparseCodingConfig;

/// z \[n, `values`\] -> the energy of each row, with a random dictionary of `atoms` atoms and the step I - D'D.
pub fn iterations(atoms: usize, values: usize, config: &SparseCodingConfig) -> Vec<u8> {
    let mut graph = Graph::default();
    // The numbers only have to keep the codes finite.
    graph.constant("dictionary", &[values, atoms], |i| ((i * 31 % 101) as f32 - 50.0) * 1e-4);
    graph.constant("transposed", &[atoms, values], |i| ((i * 37 % 101) as f32 - 50.0) * 1e-4);
    graph.constant("step", &[atoms, atoms], |i| ((i * 41 % 101) as f32 - 50.0) * 1e-5);
    graph.constant("tau", &[], |_| config.tau as f32);
    graph.node("MatMul", &["z", "dictionary"], "correlations");
    let mut u = "correlations".to_string();
    for (n, lambda) in lambdas(config).into_iter().enumerate() {
        let name = |what: &str| format!("{what}{n}");
        graph.constant(&name("lambda"), &[], |_| lambda);
        graph.node("Abs", &[&u], &name("size"));
        graph.node("Sub", &[&name("size"), &name("lambda")], &name("above"));
        graph.node("Mul", &[&name("above"), "tau"], &name("scaled"));
        graph.node("Sigmoid", &[&name("scaled")], &name("share"));
        graph.node("Mul", &[&u, &name("share")], &name("codes"));
        if n + 1 < config.steps {
            graph.node("MatMul", &[&name("codes"), "step"], &name("moved"));
            graph.node("Add", &[&name("moved"), "correlations"], &name("u"));
            u = name("u");
        }
    }
    graph.node("MatMul", &[&format!("codes{}", config.steps - 1), "transposed"], "explained");
    graph.node("Sub", &["z", "explained"], "residual");
    graph.node("Mul", &["residual", "residual"], "squares");
    graph.node("ReduceMean", &["squares"], "energies");
    graph.model(values)
}

/// Parts of a graph as they are in the file.
#[derive(Default)]
struct Graph {
    nodes: Vec<u8>,
    initializers: Vec<u8>,
}

impl Graph {
    fn constant(&mut self, name: &str, shape: &[usize], value: impl Fn(usize) -> f32) {
        let count = shape.iter().product();
        let data: Vec<u8> = (0..count).flat_map(|i| value(i).to_le_bytes()).collect();
        let mut tensor = Vec::new();
        shape.iter().for_each(|side| number(&mut tensor, 1, *side as u64));
        number(&mut tensor, 2, 1); // float
        bytes(&mut tensor, 8, name.as_bytes());
        bytes(&mut tensor, 9, &data);
        bytes(&mut self.initializers, 5, &tensor);
    }

    fn node(&mut self, operation: &str, inputs: &[&str], output: &str) {
        let mut node = Vec::new();
        inputs.iter().for_each(|input| bytes(&mut node, 1, input.as_bytes()));
        bytes(&mut node, 2, output.as_bytes());
        bytes(&mut node, 4, operation.as_bytes());
        if operation == "ReduceMean" {
            let mut axes = Vec::new();
            bytes(&mut axes, 1, b"axes");
            number(&mut axes, 8, 1);
            number(&mut axes, 20, 7); // integers
            bytes(&mut node, 5, &axes);
        }
        bytes(&mut self.nodes, 1, &node);
    }

    fn model(self, values: usize) -> Vec<u8> {
        let mut graph = self.nodes;
        bytes(&mut graph, 2, b"iterations");
        graph.extend(self.initializers);
        bytes(&mut graph, 11, &value_info("z", &[None, Some(values)]));
        bytes(&mut graph, 12, &value_info("energies", &[None, Some(1)]));
        let mut operators = Vec::new();
        number(&mut operators, 2, 17);
        let mut model = Vec::new();
        number(&mut model, 1, 8);
        bytes(&mut model, 7, &graph);
        bytes(&mut model, 8, &operators);
        model
    }
}

/// Name and shape of an input or output; a side without a length is free.
fn value_info(name: &str, sides: &[Option<usize>]) -> Vec<u8> {
    let mut shape = Vec::new();
    for side in sides {
        let mut dimension = Vec::new();
        match side {
            Some(length) => number(&mut dimension, 1, *length as u64),
            None => bytes(&mut dimension, 2, b"n"),
        }
        bytes(&mut shape, 1, &dimension);
    }
    let (mut tensor, mut kind, mut info) = (Vec::new(), Vec::new(), Vec::new());
    number(&mut tensor, 1, 1); // float
    bytes(&mut tensor, 2, &shape);
    bytes(&mut kind, 1, &tensor);
    bytes(&mut info, 1, name.as_bytes());
    bytes(&mut info, 2, &kind);
    info
}

/// A field that is a number.
fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    variable_length(out, field << 3);
    variable_length(out, value);
}

/// A field that is text, bytes or a message.
fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    variable_length(out, field << 3 | 2);
    variable_length(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn variable_length(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
