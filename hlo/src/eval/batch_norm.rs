//! Batch normalisation: over all dimensions but that of the feature. Computes in `f64`.

use super::array::{Array, positions};
use super::error::{Fault, Outcome};
use super::operation::Operation;
use crate::attribute::AttributeValue;
use crate::literal::Native;
use crate::shape::PrimitiveType;

/// The arrays of an instruction whose first operand is normalised by feature.
struct Batch {
    element: PrimitiveType,
    dims: Vec<usize>,
    features: usize,
    /// Elements that are neighbours of the same feature.
    inner: usize,
    epsilon: f64,
    /// The operands: those of the first operand's shape, and those of one value a feature.
    values: Vec<Vec<f64>>,
}

impl Batch {
    fn new<const N: usize>(op: &mut Operation<'_, '_>) -> Outcome<Batch> {
        let operands: [Array; N] = op.exactly()?;
        let (element, dims) = (operands[0].element, operands[0].dims.clone());
        let axis = positions("feature_index", &[op.integer("feature_index")?], dims.len())?[0];
        let features = dims[axis];
        let epsilon = match op.instruction.attribute("epsilon") {
            Some(AttributeValue::Float(epsilon)) => *epsilon,
            Some(AttributeValue::Integer(epsilon)) => *epsilon as f64,
            _ => return Err(Fault::malformed("epsilon is missing")),
        };
        op.context
            .meter
            .work(operands[0].count().saturating_mul(8))?;
        op.context
            .meter
            .scratch(operands[0].count().saturating_mul(48))?;
        let values = operands
            .into_iter()
            .map(|operand| {
                if operand.dims != dims && operand.dims != [features] {
                    return Err(Fault::malformed("the operands' dimensions do not fit"));
                }
                Ok(f64::read(&operand.converted(PrimitiveType::F64)?.data))
            })
            .collect::<Outcome<Vec<_>>>()?;
        let inner = dims[axis + 1..].iter().product();
        Ok(Batch {
            element,
            dims,
            features,
            inner,
            epsilon,
            values,
        })
    }

    /// The feature of an element.
    fn feature(&self, element: usize) -> usize {
        element / self.inner % self.features
    }

    /// Elements of each feature.
    fn each(&self) -> f64 {
        self.values[0].len() as f64 / self.features as f64
    }

    /// Sums over the elements of each feature.
    fn sums(&self, f: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        let mut sums = vec![0.0; self.features];
        for element in 0..self.values[0].len() {
            let feature = self.feature(element);
            sums[feature] += f(element, feature);
        }
        sums
    }

    fn whole(&self, f: impl Fn(usize, usize) -> f64) -> Outcome<Array> {
        let elements = 0..self.values[0].len();
        self.array(self.dims.clone(), elements.map(|e| f(e, self.feature(e))))
    }

    fn by_feature(&self, values: Vec<f64>) -> Outcome<Array> {
        self.array(vec![self.features], values.into_iter())
    }

    fn array(&self, dims: Vec<usize>, values: impl Iterator<Item = f64>) -> Outcome<Array> {
        let mut bytes = Vec::new();
        values.for_each(|value| value.write(&mut bytes));
        Array::new(PrimitiveType::F64, dims, bytes)?.converted(self.element)
    }
}

/// `batch-norm-inference`.
pub(super) fn inference(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    let batch = Batch::new::<5>(op)?;
    let [x, scale, offset, mean, variance] = &batch.values[..] else {
        return Err(Fault::malformed("expected five operands"));
    };
    batch.whole(|e, f| {
        (x[e] - mean[f]) / (variance[f] + batch.epsilon).sqrt() * scale[f] + offset[f]
    })
}

/// `batch-norm-training`: the normalised operand, its means and its variances.
pub(super) fn training(op: &mut Operation<'_, '_>) -> Outcome<Vec<Array>> {
    let batch = Batch::new::<3>(op)?;
    let [x, scale, offset] = &batch.values[..] else {
        return Err(Fault::malformed("expected three operands"));
    };
    let each = batch.each();
    let mean: Vec<f64> = batch.sums(|e, _| x[e]).iter().map(|s| s / each).collect();
    let squares = batch.sums(|e, f| (x[e] - mean[f]).powi(2));
    let variance: Vec<f64> = squares.iter().map(|s| s / each).collect();
    let out = batch.whole(|e, f| {
        (x[e] - mean[f]) / (variance[f] + batch.epsilon).sqrt() * scale[f] + offset[f]
    })?;
    Ok(vec![
        out,
        batch.by_feature(mean)?,
        batch.by_feature(variance)?,
    ])
}

/// `batch-norm-grad`: the gradients of operand, scale and offset.
pub(super) fn gradient(op: &mut Operation<'_, '_>) -> Outcome<Vec<Array>> {
    let batch = Batch::new::<5>(op)?;
    let [x, scale, mean, variance, output] = &batch.values[..] else {
        return Err(Fault::malformed("expected five operands"));
    };
    let each = batch.each();
    let inverse = |f: usize| 1.0 / (variance[f] + batch.epsilon).sqrt();
    let offset = batch.sums(|e, _| output[e]);
    let products = batch.sums(|e, f| output[e] * (x[e] - mean[f]));
    let operand = batch.whole(|e, f| {
        let spread = (x[e] - mean[f]) * products[f] * inverse(f).powi(2);
        scale[f] * inverse(f) * (output[e] - offset[f] / each - spread / each)
    })?;
    let by_scale = products.iter().enumerate().map(|(f, p)| p * inverse(f));
    Ok(vec![
        operand,
        batch.by_feature(by_scale.collect())?,
        batch.by_feature(offset)?,
    ])
}
