//! A scene as PNG, its vertical text as sharp as the level one.
//!
//! Kuva draws turned text through a buffer whose pixels are either empty or opaque (0.6.0, `Canvas::blend`): a pixel that
//! a glyph only touches becomes all ink, so that each stroke grows on either side and the label looks doubled. Text turned
//! by a quarter to the left is therefore drawn level, on a page that is turned to the right, and laid over the picture.

use std::io::Cursor;

use kuva::backend::png::PngBackend;
use kuva::render::render::{Primitive, Scene};

/// Pixels, row by row.
struct Picture {
    width: usize,
    height: usize,
    /// Red, green and blue.
    pixels: Vec<[u8; 3]>,
}

/// The PNG of a scene, `scale` pixels for each of its units.
///
/// # Errors
/// What kuva or the PNG library say.
pub(crate) fn png(scene: &Scene, scale: f32) -> Result<Vec<u8>, String> {
    let (level, vertical) = without_vertical_text(scene);
    let mut picture = rasterised(&level, scale)?;
    if !vertical.elements.is_empty() {
        picture.overlay_turned(&rasterised(&vertical, scale)?);
    }
    encoded(&picture)
}

/// The scene without its vertical text, and that text alone, level on a page that is turned to the right: what is at
/// `(x, y)` is at `(height - y, x)` there.
fn without_vertical_text(scene: &Scene) -> (Scene, Scene) {
    let mut level = Scene::new(scene.width, scene.height);
    let mut vertical = Scene::new(scene.height, scene.width);
    for page in [&mut level, &mut vertical] {
        page.text_color.clone_from(&scene.text_color);
        page.font_family.clone_from(&scene.font_family);
    }
    level.background_color.clone_from(&scene.background_color);
    level.defs.clone_from(&scene.defs);
    let mut origins = vec![(0.0, 0.0)];
    for element in &scene.elements {
        let origin = origins.last().copied().unwrap_or_default();
        let mut element = element.clone();
        match &mut element {
            Primitive::GroupStart { transform, .. } => {
                let moved = transform.as_deref().and_then(translation).unwrap_or_default();
                origins.push((origin.0 + moved.0, origin.1 + moved.1));
            }
            Primitive::GroupEnd => {
                origins.pop();
            }
            Primitive::Text { x, y, rotate, .. } if *rotate == Some(-90.0) => {
                (*x, *y) = (scene.height - (*y + origin.1), *x + origin.0);
                *rotate = None;
                vertical.elements.push(element);
                continue;
            }
            _ => {}
        }
        level.elements.push(element);
    }
    (level, vertical)
}

/// The two numbers of `translate(x,y)`.
fn translation(transform: &str) -> Option<(f64, f64)> {
    let inside = transform.trim().strip_prefix("translate(")?.strip_suffix(')')?;
    let (x, y) = inside.split_once(',')?;
    Some((x.trim().parse().ok()?, y.trim().parse().ok()?))
}

fn rasterised(scene: &Scene, scale: f32) -> Result<Picture, String> {
    let bytes = PngBackend::new().with_scale(scale).render_scene(scene)?;
    let in_words = |error: png::DecodingError| error.to_string();
    let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info().map_err(in_words)?;
    let mut pixels = vec![0; reader.output_buffer_size().ok_or("the picture is too large")?];
    let info = reader.next_frame(&mut pixels).map_err(in_words)?;
    let samples = info.color_type.samples();
    let color = |pixel: &[u8]| [pixel[0], pixel[1], pixel[2]];
    let pixels = pixels[..info.buffer_size()].chunks_exact(samples).map(color).collect();
    Ok(Picture { width: info.width as usize, height: info.height as usize, pixels })
}

fn encoded(picture: &Picture) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, picture.width as u32, picture.height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let in_words = |error: png::EncodingError| error.to_string();
    let mut writer = encoder.write_header().map_err(in_words)?;
    writer.write_image_data(picture.pixels.as_flattened()).map_err(in_words)?;
    writer.finish().map_err(in_words)?;
    Ok(bytes)
}

impl Picture {
    /// Lays a white page with text, turned to the right, over the picture: as ink does, it multiplies the light.
    fn overlay_turned(&mut self, page: &Self) {
        for (y, row) in self.pixels.chunks_exact_mut(self.width).enumerate() {
            for (x, pixel) in row.iter_mut().enumerate() {
                let Some(column) = page.width.checked_sub(y + 1).filter(|_| x < page.height) else {
                    continue;
                };
                let ink = page.pixels[x * page.width + column];
                for (light, ink) in pixel.iter_mut().zip(ink) {
                    *light = (u16::from(*light) * u16::from(ink) / 255) as u8;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kuva::render::render::TextAnchor;

    /// A page of 200 x 200 with a word in its middle.
    fn word(rotate: Option<f64>) -> Scene {
        let mut scene = Scene::new(200.0, 200.0);
        let transform = Some("translate(20,30)".to_owned());
        scene.add(Primitive::GroupStart { transform, title: None, extra_attrs: None });
        scene.add(Primitive::Text {
            x: 80.0,
            y: 70.0,
            content: "likelihood (nats)".to_owned(),
            size: 14,
            anchor: TextAnchor::Middle,
            rotate,
            bold: false,
            color: None,
        });
        scene.add(Primitive::GroupEnd);
        scene
    }

    /// Darkness of all pixels, and its centre.
    fn ink(bytes: &[u8]) -> (f64, f64, f64) {
        let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        let (mut sum, mut at_x, mut at_y) = (0.0, 0.0, 0.0);
        for (place, pixel) in pixels.chunks_exact(info.color_type.samples()).enumerate() {
            let dark = 1.0 - f64::from(pixel[0]) / 255.0;
            sum += dark;
            at_x += dark * (place % info.width as usize) as f64;
            at_y += dark * (place / info.width as usize) as f64;
        }
        (sum, at_x / sum, at_y / sum)
    }

    /// Text has the same ink whichever way it is turned, and turns about its anchor: what is `d` to the right of it comes
    /// to be `d` above it.
    #[test]
    fn vertical_text_has_the_ink_of_level_text() {
        for scale in [1.0, 2.0, 3.0_f32] {
            let (level, x, y) = ink(&png(&word(None), scale).unwrap());
            let (vertical, turned_x, turned_y) = ink(&png(&word(Some(-90.0)), scale).unwrap());
            assert!((vertical / level - 1.0).abs() < 0.01, "{vertical} beside {level}");
            let centre = 100.0 * f64::from(scale);
            let (right, below) = (x - centre, y - centre);
            assert!((turned_x - (centre + below)).abs() < 1.5, "{turned_x}");
            assert!((turned_y - (centre - right)).abs() < 1.5, "{turned_y}");
        }
    }

    /// What the page is for: kuva alone gives turned text more ink. Where this fails, this file can go.
    #[test]
    fn kuva_alone_thickens_turned_text() {
        let alone = |scene: &Scene| ink(&PngBackend::new().render_scene(scene).unwrap()).0;
        assert!(alone(&word(Some(-90.0))) > 1.15 * alone(&word(None)));
    }
}
