//! Arithmetic rates of the kernels on one core.
fn main() {
    divan::main();
}
