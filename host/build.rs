//! Migrations, and what `plugin new` writes, are embedded: a new file must rebuild the crate.

fn main() {
    for folder in [
        "../migrations",
        "../sdk-plugin/templates",
        "../sdk-plugin/src",
        "../sdk-plugin/macros/src",
        "../wit",
    ] {
        println!("cargo:rerun-if-changed={folder}");
    }
}
