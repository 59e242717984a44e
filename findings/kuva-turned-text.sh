#!/usr/bin/env bash
# kuva 0.6.0 (Rust, figures) rasterises text that is turned by 90 degrees with two fifths more ink than the same text
# when it is level: every vertical axis label of a PNG looks bold, or doubled.
#
# Turned text goes through a buffer that starts transparent, and what is drawn there becomes opaque wherever a glyph
# touches a pixel, however little it covers; coverage is lost, and each stroke is wider by a part of a pixel on either
# side. Expected: ink that does not depend on the direction (SVG from the same scene is right, the viewer turns it there).
#
# Seen (Rust 1.95, png 0.18):
#   ink of level text 210.0, of the same text turned 295.8: ratio 1.41
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
cat > "$work/Cargo.toml" <<'TOML'
[package]
name = "ink"
version = "0.0.0"
edition = "2021"

[dependencies]
kuva = { version = "=0.6.0", features = ["png"] }
png = "0.18"
TOML
cat > "$work/src/main.rs" <<'RUST'
use std::io::Cursor;

use kuva::backend::png::PngBackend;
use kuva::render::render::{Primitive, Scene, TextAnchor};

/// Darkness of all pixels of a page of 200 x 200 with one word.
fn ink(rotate: Option<f64>) -> f64 {
    let mut scene = Scene::new(200.0, 200.0);
    scene.add(Primitive::Text {
        x: 100.0,
        y: 100.0,
        content: "likelihood".to_owned(),
        size: 14,
        anchor: TextAnchor::Middle,
        rotate,
        bold: false,
        color: None,
    });
    let bytes = PngBackend::new().with_scale(1.0).render_scene(&scene).unwrap();
    let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    let samples = info.color_type.samples();
    pixels.chunks_exact(samples).map(|pixel| 1.0 - f64::from(pixel[0]) / 255.0).sum()
}

fn main() {
    let (level, turned) = (ink(None), ink(Some(-90.0)));
    let ratio = turned / level;
    println!("ink of level text {level:.1}, of the same text turned {turned:.1}: ratio {ratio:.2}");
    assert!(ratio > 1.15, "turned text has the ink of level text now");
}
RUST
CARGO_TARGET_DIR="$work/target" cargo run --quiet --manifest-path "$work/Cargo.toml"
