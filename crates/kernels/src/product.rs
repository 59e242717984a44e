//! The matrix products of a linear layer, with what follows them done while the numbers are hot.
//!
//! ```text
//! forward            H = a(X W + b)          X: rows x inputs,  W: inputs x outputs
//! input gradient     D' = (D W^T) . a'       D: rows x outputs, a': slope of the layer below
//! weight gradient    dW = X^T D,  db = sum of the rows of D
//! ```
//! All three run one register tile: a few rows times two vectors of columns, numbers of the left
//! factor broadcast, of the right factor in the lanes. Accumulators and factors just fit the
//! registers: 12 x 2 vectors of 32, 6 x 2 of 16.

use pulp::{Simd, WithSimd};

use crate::activation::{Activation, Slope};
use crate::matrix::{Aligned, LINE, Matrix};

/// Vectors of columns in a tile.
const WIDE: usize = 2;

/// Terms of a sum between two looks at whether it ends.
const UNROLL: usize = 4;

/// Rows of a panel that are filled together: 16 KB of the widest.
const STRETCH: usize = 128;

/// The right factor of a product, cut into panels of as many columns as a tile has; each panel is
/// contiguous, and the columns are padded with zeros to whole vectors.
#[derive(Debug, Clone, Default)]
pub(crate) struct Panels {
    data: Aligned,
    bias: Aligned,
    depth: usize,
    columns: usize,
    lanes: usize,
}

impl Panels {
    /// Room for `depth` x `columns` numbers in vectors of `lanes`.
    pub(crate) fn new(depth: usize, columns: usize, lanes: usize) -> Self {
        let mut panels = Self { depth, columns, lanes, ..Self::default() };
        panels.data.reserve(depth * columns.next_multiple_of(lanes));
        panels.bias.reserve(columns.next_multiple_of(lanes));
        panels
    }

    /// Rows of a weight that a panel of its transpose holds.
    pub(crate) fn panel_columns(&self) -> usize {
        WIDE * self.lanes
    }

    /// Takes the `bias` (columns).
    pub(crate) fn set_bias(&mut self, bias: &[f32]) {
        self.bias.as_mut_slice()[..self.columns].copy_from_slice(bias);
    }

    /// Takes the rows from `first_row` on of a weight (depth x columns, row-major).
    pub(crate) fn set_rows(&mut self, first_row: usize, rows: &[f32]) {
        let (columns, lanes, depth) = (self.columns, self.lanes, self.depth);
        let count = rows.len() / columns;
        assert!(rows.len() == count * columns && first_row + count <= depth, "rows of the layer");
        let padded = columns.next_multiple_of(lanes);
        for first in (0..padded).step_by(WIDE * lanes) {
            let width = (WIDE * lanes).min(padded - first);
            let used = width.min(columns - first);
            let begin = first * depth + first_row * width;
            let target = &mut self.data.as_mut_slice()[begin..][..count * width];
            for (target, row) in target.chunks_exact_mut(width).zip(rows.chunks_exact(columns)) {
                target[..used].copy_from_slice(&row[first..][..used]);
            }
        }
    }

    /// Takes the rows from `first` on of a weight (columns x depth, row-major) as columns: as many as
    /// are left, at most [`Self::panel_columns`], of which `first` is a multiple.
    pub(crate) fn set_columns(&mut self, first: usize, rows: &[f32]) {
        let (columns, lanes, depth) = (self.columns, self.lanes, self.depth);
        let width = (WIDE * lanes).min(columns.next_multiple_of(lanes) - first);
        let used = width.min(columns - first);
        assert!(first.is_multiple_of(WIDE * lanes) && rows.len() == used * depth, "a panel");
        let panel = &mut self.data.as_mut_slice()[first * depth..][..width * depth];
        // Blocks of the panel that stay near while the rows of the source, long stretches of them,
        // go by four at a time.
        for begin in (0..depth).step_by(STRETCH) {
            let end = depth.min(begin + STRETCH);
            let block = &mut panel[begin * width..end * width];
            let source = |column: usize| &rows[column * depth..][begin..end];
            for column in (0..used / 4 * 4).step_by(4) {
                let [a, b, c, d] = [0, 1, 2, 3].map(|next| source(column + next));
                let four = a.iter().zip(b).zip(c.iter().zip(d));
                for (row, ((a, b), (c, d))) in block.chunks_exact_mut(width).zip(four) {
                    row[column..column + 4].copy_from_slice(&[*a, *b, *c, *d]);
                }
            }
            for column in used / 4 * 4..used {
                for (row, value) in block.chunks_exact_mut(width).zip(source(column)) {
                    row[column] = *value;
                }
            }
        }
    }
}

/// What is done with a product before it is stored.
#[derive(Debug)]
pub(crate) enum Epilogue<'a> {
    /// The bias is added and the activation applied; where its slope does not follow from its
    /// value, the slope is kept too.
    Activate(Option<Activation>, Option<&'a mut Matrix>),
    /// It is multiplied by the slope of the activation at this place.
    Multiply(Slope<'a>),
}

/// `output = epilogue(input * panels)`.
pub(crate) struct Product<'a> {
    pub(crate) input: &'a Matrix,
    pub(crate) panels: &'a Panels,
    pub(crate) epilogue: Epilogue<'a>,
    pub(crate) output: &'a mut Matrix,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { input, panels, mut epilogue, output } = self;
        assert_eq!(panels.lanes, S::F32_LANES, "panels packed for this instruction set");
        assert_eq!(input.columns(), panels.depth, "columns of the input");
        let rows = input.padded_rows();
        output.reshape(input.rows(), panels.columns);
        let padded = panels.columns.next_multiple_of(panels.lanes);
        assert!(rows * input.stride() <= input.data().len() && panels.depth <= input.stride());
        assert!(rows * output.stride() <= output.data().len() && padded <= output.stride());
        assert!(panels.depth * padded <= panels.data.as_slice().len());
        match &mut epilogue {
            Epilogue::Activate(_, Some(slope)) => slope.reshape(input.rows(), panels.columns),
            Epilogue::Multiply(slope) => {
                if let Some(kept) = slope.matrix() {
                    assert_eq!(
                        (kept.rows(), kept.columns()),
                        (input.rows(), panels.columns),
                        "shape of the layer below"
                    );
                }
            }
            Epilogue::Activate(_, None) => {}
        }
        for first in (0..padded).step_by(WIDE * panels.lanes) {
            let end = (first + 2 * WIDE * panels.lanes).min(padded);
            let ahead = (first + WIDE * panels.lanes).min(end) * panels.depth..end * panels.depth;
            let ahead = &panels.data.as_slice()[ahead];
            let ahead_of_a_row = ahead.len().div_ceil(rows.max(1));
            let epilogue = &mut epilogue;
            let mut panel = Panel { input, panels, epilogue, output, first, ahead, ahead_of_a_row };
            if padded - first >= WIDE * panels.lanes {
                panel.rows::<S, WIDE>(simd, rows);
            } else {
                panel.rows::<S, 1>(simd, rows);
            }
        }
    }
}

/// The product of all rows with one panel.
struct Panel<'a, 'b> {
    input: &'a Matrix,
    panels: &'a Panels,
    epilogue: &'a mut Epilogue<'b>,
    output: &'a mut Matrix,
    first: usize,
    /// What is left of the next panel. Each tile asks for a part, so that it is near when its time comes.
    ahead: &'a [f32],
    /// How much of it falls to a row.
    ahead_of_a_row: usize,
}

impl Panel<'_, '_> {
    #[inline(always)]
    fn rows<S: Simd, const NV: usize>(&mut self, simd: S, rows: usize) {
        let mut row = 0;
        if S::REGISTER_COUNT >= 32 {
            while row + 12 <= rows {
                self.tile::<S, 12, NV>(simd, row);
                row += 12;
            }
            if row + 8 <= rows {
                self.tile::<S, 8, NV>(simd, row);
                row += 8;
            }
        } else {
            // Eight rows are two tiles of four: one of two has too few sums to keep the units busy.
            while row + 6 <= rows && rows - row != 8 {
                self.tile::<S, 6, NV>(simd, row);
                row += 6;
            }
        }
        while row < rows {
            self.tile::<S, 4, NV>(simd, row);
            row += 4;
        }
        debug_assert_eq!(row, rows, "rows come in fours");
    }

    #[inline(always)]
    fn tile<S: Simd, const MR: usize, const NV: usize>(&mut self, simd: S, row: usize) {
        let lanes = S::F32_LANES;
        let depth = self.panels.depth;
        let zero = simd.splat_f32s(0.0);
        let share = (MR * self.ahead_of_a_row).next_multiple_of(LINE).min(self.ahead.len());
        let (ahead, rest) = self.ahead.split_at(share);
        self.ahead = rest;
        for line in ahead.chunks(LINE) {
            fetch(&line[0]);
        }
        let mut start = [zero; NV];
        if let Epilogue::Activate(..) = self.epilogue {
            let bias = &self.panels.bias.as_slice()[self.first..][..NV * lanes];
            for (start, bias) in start.iter_mut().zip(S::as_simd_f32s(bias).0) {
                *start = *bias;
            }
        }
        // SAFETY: `Product::with_simd` checked that the rows `row..row + MR` of the input hold
        // `depth` numbers at its stride, and that the panel, which begins after the `first` columns
        // of the panels before it, holds `depth` times `NV` vectors.
        let acc = unsafe {
            let input = self.input.data().as_ptr().add(row * self.input.stride());
            accumulate::<S, MR, NV>(
                simd,
                RowsOf { data: input, stride: self.input.stride() },
                self.panels.data.as_slice().as_ptr().add(self.first * depth),
                NV * lanes,
                depth,
                [start; MR],
            )
        };
        let stride = self.output.stride();
        let place = row * stride + self.first;
        let output = &mut self.output.data_mut()[place..][..(MR - 1) * stride + NV * lanes];
        let mut target = Tile { values: output, stride };
        match self.epilogue {
            Epilogue::Activate(None, _) => target.store(simd, acc, Plain),
            Epilogue::Activate(Some(Activation::Relu), _) => target.store(simd, acc, Rectified),
            Epilogue::Activate(Some(activation), slope) => {
                target.store(simd, acc, Plain);
                let mut slope = slope.as_deref_mut().map(|slope| &mut slope.data_mut()[place..]);
                for m in 0..MR {
                    let row = m * stride..m * stride + NV * lanes;
                    let values = S::as_mut_simd_f32s(&mut target.values[row.clone()]).0;
                    let slope = slope.as_deref_mut().map(|slope| &mut slope[row]);
                    activation.apply(simd, values, slope);
                }
            }
            Epilogue::Multiply(slope) => {
                // A call for each, so that the choice is made once a tile and not once a vector.
                match *slope {
                    Slope::One => target.store(simd, acc, Plain),
                    Slope::Elu(kept) => {
                        target.store(simd, acc, Times(Slope::Elu(kept), &kept.data()[place..]));
                    }
                    Slope::Relu(kept) => {
                        target.store(simd, acc, Times(Slope::Relu(kept), &kept.data()[place..]));
                    }
                    Slope::Tanh(kept) => {
                        target.store(simd, acc, Times(Slope::Tanh(kept), &kept.data()[place..]));
                    }
                    Slope::Kept(kept) => {
                        target.store(simd, acc, Times(Slope::Kept(kept), &kept.data()[place..]));
                    }
                }
            }
        }
    }
}

/// What becomes of a vector of a tile as it is stored. (A trait and no closure, which would not be
/// compiled for the instruction set at hand.)
trait Finish: Copy {
    /// The vector to store in place of `before`, `at` numbers after the start of the tile.
    fn finish<S: Simd>(self, simd: S, vector: S::f32s, before: &[f32], at: usize) -> S::f32s;
}

/// It is stored as it is.
#[derive(Clone, Copy)]
struct Plain;

impl Finish for Plain {
    #[inline(always)]
    fn finish<S: Simd>(self, _simd: S, vector: S::f32s, _before: &[f32], _at: usize) -> S::f32s {
        vector
    }
}

/// Its ReLU; NaN stays NaN.
#[derive(Clone, Copy)]
struct Rectified;

impl Finish for Rectified {
    #[inline(always)]
    fn finish<S: Simd>(self, simd: S, vector: S::f32s, _before: &[f32], _at: usize) -> S::f32s {
        let zero = simd.splat_f32s(0.0);
        simd.select_f32s(simd.less_than_f32s(vector, zero), zero, vector)
    }
}

/// It is multiplied by the slope that belongs to the values kept from the place of the tile on.
#[derive(Clone, Copy)]
struct Times<'a>(Slope<'a>, &'a [f32]);

impl Finish for Times<'_> {
    #[inline(always)]
    fn finish<S: Simd>(self, simd: S, vector: S::f32s, _before: &[f32], at: usize) -> S::f32s {
        self.0.times(simd, vector, load(simd, &self.1[at..]))
    }
}

/// It is added to what is there.
#[derive(Clone, Copy)]
struct Sum;

impl Finish for Sum {
    #[inline(always)]
    fn finish<S: Simd>(self, simd: S, vector: S::f32s, before: &[f32], _at: usize) -> S::f32s {
        simd.add_f32s(vector, load(simd, before))
    }
}

/// Asks for the cache line of `value`, which is needed soon.
#[inline(always)]
fn fetch(value: &f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which every processor of this architecture knows and which changes no value.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(
            std::ptr::from_ref(value).cast(),
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// The vector that `values` begin with.
#[inline(always)]
fn load<S: Simd>(_simd: S, values: &[f32]) -> S::f32s {
    assert!(values.len() >= S::F32_LANES);
    // SAFETY: there are as many numbers, by the line above; they may lie at any address here.
    unsafe { values.as_ptr().cast::<S::f32s>().read_unaligned() }
}

/// Where the numbers of a tile go: its rows lie at `stride`.
struct Tile<'a> {
    values: &'a mut [f32],
    stride: usize,
}

impl Tile<'_> {
    #[inline(always)]
    fn store<S: Simd, const MR: usize, const NV: usize>(
        &mut self,
        simd: S,
        acc: [[S::f32s; NV]; MR],
        finish: impl Finish,
    ) {
        for (m, acc) in acc.into_iter().enumerate() {
            for (v, acc) in acc.into_iter().enumerate() {
                let at = m * self.stride + v * S::F32_LANES;
                let target = &mut self.values[at..][..S::F32_LANES];
                let value = finish.finish(simd, acc, target, at);
                // SAFETY: the target holds as many numbers as a vector.
                unsafe { target.as_mut_ptr().cast::<S::f32s>().write_unaligned(value) };
            }
        }
    }
}

/// Writes (or adds to) the gradient of a layer: `weight = input^T delta`, `bias = sum of delta`.
pub(crate) struct WeightGradient<'a> {
    pub(crate) input: &'a Matrix,
    pub(crate) delta: &'a Matrix,
    /// Inputs x outputs, row-major.
    pub(crate) weight: &'a mut [f32],
    pub(crate) bias: &'a mut [f32],
    /// Whether the gradient of earlier rows stays in.
    pub(crate) add: bool,
    /// Whether `weight` is symmetric, as it is where `input` and `delta` are one: then only tiles with an entry on or above its
    /// diagonal are computed, and the others mirrored.
    pub(crate) symmetric: bool,
}

impl WithSimd for WeightGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (inputs, outputs) = (self.input.columns(), self.delta.columns());
        let rows = self.input.rows();
        assert_eq!(rows, self.delta.rows(), "as many rows");
        assert_eq!((self.weight.len(), self.bias.len()), (inputs * outputs, outputs));
        assert!(rows * self.input.stride() <= self.input.data().len());
        assert!(rows * self.delta.stride() <= self.delta.data().len());
        assert!(inputs.next_multiple_of(4) <= self.input.stride());
        let padded = outputs.next_multiple_of(S::F32_LANES);
        assert!(padded <= self.delta.stride());
        for first in (0..padded).step_by(WIDE * S::F32_LANES) {
            if padded - first >= WIDE * S::F32_LANES {
                self.columns::<S, WIDE>(simd, first);
            } else {
                self.columns::<S, 1>(simd, first);
            }
        }
        if self.symmetric {
            self.mirror();
        }
    }
}

impl WeightGradient<'_> {
    /// Copies what is above the diagonal to below it.
    fn mirror(&mut self) {
        let width = self.delta.columns();
        assert_eq!(self.weight.len(), width * width, "a symmetric matrix is square");
        for row in 1..width {
            let (above, below) = self.weight.split_at_mut(row * width);
            for (column, value) in below[..row].iter_mut().enumerate() {
                *value = above[column * width + row];
            }
        }
    }

    #[inline(always)]
    fn columns<S: Simd, const NV: usize>(&mut self, simd: S, first: usize) {
        self.sum_rows::<S, NV>(simd, first);
        let inputs = self.input.columns();
        let mut input = 0;
        if S::REGISTER_COUNT >= 32 {
            while input + 8 < inputs {
                self.tile::<S, 12, NV>(simd, input, first);
                input += 12;
            }
            if input + 4 < inputs {
                self.tile::<S, 8, NV>(simd, input, first);
                input += 8;
            }
        } else {
            while input + 4 < inputs && !(7..=8).contains(&(inputs - input)) {
                self.tile::<S, 6, NV>(simd, input, first);
                input += 6;
            }
        }
        while input < inputs {
            self.tile::<S, 4, NV>(simd, input, first);
            input += 4;
        }
    }

    /// Asks for what the tiles after that of `count` inputs from `input` on need: their part of the gradient and, as long as
    /// they are the first ones that read them, the rows of the input.
    #[inline(always)]
    fn fetch_ahead(&self, input: usize, count: usize, first: usize) {
        let (inputs, outputs) = (self.input.columns(), self.delta.columns());
        let next = input + count..inputs.min(input + 2 * count);
        for input in next.clone() {
            fetch(&self.weight[input * outputs + first]);
        }
        let line = next.end / LINE * LINE;
        if first == 0 && line >= next.start && line < next.end {
            let stride = self.input.stride();
            for row in 0..self.input.rows() {
                fetch(&self.input.data()[row * stride + line]);
            }
        }
    }

    /// Adds up the rows of `delta`, in four chains that do not wait for each other.
    #[inline(always)]
    fn sum_rows<S: Simd, const NV: usize>(&mut self, simd: S, first: usize) {
        let width = (NV * S::F32_LANES).min(self.delta.columns() - first);
        let mut sums = [[simd.splat_f32s(0.0); NV]; 4];
        let (stride, rows) = (self.delta.stride(), self.delta.rows());
        let delta = self.delta.data();
        for row in (0..rows).step_by(4) {
            let count = 4.min(rows - row);
            for (row, sums) in (row..).zip(&mut sums[..count]) {
                let delta = &delta[row * stride + first..][..NV * S::F32_LANES];
                for (sum, delta) in sums.iter_mut().zip(S::as_simd_f32s(delta).0) {
                    *sum = simd.add_f32s(*sum, *delta);
                }
            }
        }
        let [mut sum, second, third, fourth] = sums;
        for (v, sum) in sum.iter_mut().enumerate() {
            let rest = simd.add_f32s(third[v], fourth[v]);
            *sum = simd.add_f32s(simd.add_f32s(*sum, second[v]), rest);
        }
        write_row(simd, sum, &mut self.bias[first..first + width], self.add);
    }

    #[inline(always)]
    fn tile<S: Simd, const MR: usize, const NV: usize>(
        &mut self,
        simd: S,
        input: usize,
        first: usize,
    ) {
        let (inputs, outputs) = (self.input.columns(), self.delta.columns());
        let width = (NV * S::F32_LANES).min(outputs - first);
        if self.symmetric && input >= first + width {
            return;
        }
        let used = MR.min(inputs - input);
        self.fetch_ahead(input, MR, first);
        // Columns past the last one are read, and their products dropped.
        assert!(input + MR <= self.input.stride(), "the tile ends within the padding");
        // SAFETY: `with_simd` checked that both matrices hold `rows` rows at their strides and that
        // `first` plus `NV` vectors lie within the stride of `delta`; the line above, that the
        // columns `input..input + MR` lie within the stride of the input.
        let acc = unsafe {
            accumulate::<S, MR, NV>(
                simd,
                ColumnsOf {
                    data: self.input.data().as_ptr().add(input),
                    stride: self.input.stride(),
                },
                self.delta.data().as_ptr().add(first),
                self.delta.stride(),
                self.input.rows(),
                [[simd.splat_f32s(0.0); NV]; MR],
            )
        };
        if used == MR && width == NV * S::F32_LANES {
            let values = &mut self.weight[input * outputs + first..];
            let mut target = Tile { values, stride: outputs };
            if self.add {
                target.store(simd, acc, Sum);
            } else {
                target.store(simd, acc, Plain);
            }
        } else {
            for (m, acc) in acc.into_iter().enumerate().take(used) {
                let target = &mut self.weight[(input + m) * outputs + first..][..width];
                write_row(simd, acc, target, self.add);
            }
        }
    }
}

/// Writes the leading numbers of `values` to `target`, or adds them there.
#[inline(always)]
fn write_row<S: Simd, const NV: usize>(
    simd: S,
    values: [S::f32s; NV],
    target: &mut [f32],
    add: bool,
) {
    for (mut value, target) in values.into_iter().zip(target.chunks_mut(S::F32_LANES)) {
        if add {
            value = simd.add_f32s(value, simd.partial_load_f32s(target));
        }
        simd.partial_store_f32s(target, value);
    }
}

/// The left factor of a tile.
trait Left: Copy {
    /// Entry `(m, k)`.
    ///
    /// # Safety
    /// It must exist.
    unsafe fn at(self, m: usize, k: usize) -> f32;
}

/// Rows of a matrix: entry `(m, k)` is `data[m * stride + k]`.
#[derive(Clone, Copy)]
struct RowsOf {
    data: *const f32,
    stride: usize,
}

impl Left for RowsOf {
    #[inline(always)]
    unsafe fn at(self, m: usize, k: usize) -> f32 {
        // SAFETY: it exists, by the contract.
        unsafe { *self.data.add(m * self.stride + k) }
    }
}

/// Columns of a matrix: entry `(m, k)` is `data[m + k * stride]`.
#[derive(Clone, Copy)]
struct ColumnsOf {
    data: *const f32,
    stride: usize,
}

impl Left for ColumnsOf {
    #[inline(always)]
    unsafe fn at(self, m: usize, k: usize) -> f32 {
        // SAFETY: it exists, by the contract.
        unsafe { *self.data.add(m + k * self.stride) }
    }
}

/// `acc[m][v] + sum over k < depth of left(m, k) * right[k * stride + v * lanes ..]`.
///
/// # Safety
/// `left` must exist for all `m < MR` and `k < depth`; `right` must be readable for `NV` vectors at each
/// of the `depth` multiples of `stride`.
#[inline(always)]
unsafe fn accumulate<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    left: impl Left,
    right: *const f32,
    stride: usize,
    depth: usize,
    mut acc: [[S::f32s; NV]; MR],
) -> [[S::f32s; NV]; MR] {
    let mut k = 0;
    while k + UNROLL <= depth {
        for step in k..k + UNROLL {
            // SAFETY: `step < depth`.
            unsafe { multiply(simd, left, right, stride, step, &mut acc) };
        }
        k += UNROLL;
    }
    while k < depth {
        // SAFETY: `k < depth`.
        unsafe { multiply(simd, left, right, stride, k, &mut acc) };
        k += 1;
    }
    acc
}

/// Adds the terms of one `k`.
///
/// # Safety
/// As for [`accumulate`], with `k < depth`.
#[inline(always)]
unsafe fn multiply<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    left: impl Left,
    right: *const f32,
    stride: usize,
    k: usize,
    acc: &mut [[S::f32s; NV]; MR],
) {
    let mut vectors = [simd.splat_f32s(0.0); NV];
    for (v, vector) in vectors.iter_mut().enumerate() {
        // SAFETY: within `right`, by the contract; vectors may lie at any address here.
        *vector =
            unsafe { right.add(k * stride + v * S::F32_LANES).cast::<S::f32s>().read_unaligned() };
    }
    for (m, acc) in acc.iter_mut().enumerate() {
        // SAFETY: it exists, by the contract.
        let value = simd.splat_f32s(unsafe { left.at(m, k) });
        for (acc, vector) in acc.iter_mut().zip(&vectors) {
            *acc = simd.mul_add_e_f32s(value, *vector, *acc);
        }
    }
}
