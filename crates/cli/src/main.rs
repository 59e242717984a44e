//! The command line of cei.

fn main() {}
