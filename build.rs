//! Links the system libraries of optional features; does nothing without them.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_SPHINX").is_some() {
        link_sphinx();
    }
}

/// Asks `pkg-config`, so that libraries outside the usual places are found, too.
fn link_sphinx() {
    println!("cargo:rerun-if-env-changed=PKG_CONFIG_PATH");
    let asked = Command::new("pkg-config").args(["--libs-only-L", "pocketsphinx"]).output();
    let found = asked.ok().filter(|answer| answer.status.success());
    let Some(found) = found else {
        panic!(
            "feature \"sphinx\": pkg-config knows no pocketsphinx; \
             on Debian, install libpocketsphinx-dev, libsphinxbase-dev and pkg-config"
        );
    };
    for flag in String::from_utf8_lossy(&found.stdout).split_whitespace() {
        if let Some(directory) = flag.strip_prefix("-L") {
            println!("cargo:rustc-link-search=native={directory}");
        }
    }
    // Without sphinxad, which records from sound cards.
    println!("cargo:rustc-link-lib=dylib=pocketsphinx");
    println!("cargo:rustc-link-lib=dylib=sphinxbase");
}
