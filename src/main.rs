//! The `bellwire` program: parses arguments and hands over to [`bellwire::cli`].

fn main() {}
