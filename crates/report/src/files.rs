//! One scene to two files. A reader never meets half a figure.

use std::path::{Path, PathBuf};

use kuva::backend::svg::SvgBackend;
use kuva::render::render::Scene;

use crate::{Error, Result, raster};

/// Pixels across a PNG at least; narrow figures are enlarged.
const MIN_PNG_WIDTH: f64 = 1400.0;

/// Pixels of a PNG per unit of its SVG, at least.
const MIN_PNG_SCALE: f64 = 2.0;

/// The files of a figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FigureFiles {
    /// `<stem>.svg`.
    pub svg: PathBuf,
    /// `<stem>.png`.
    pub png: PathBuf,
}

/// Writes `<stem>.svg` and `<stem>.png`; the folder must exist.
pub(crate) fn write(stem: &Path, scene: &Scene) -> Result<FigureFiles> {
    let files = FigureFiles { svg: with_suffix(stem, ".svg"), png: with_suffix(stem, ".png") };
    let svg = SvgBackend::new().with_pretty(true).render_scene(scene);
    let scale = (MIN_PNG_WIDTH / scene.width).max(MIN_PNG_SCALE);
    let png = raster::png(scene, scale as f32)
        .map_err(|reason| Error::Raster { path: files.png.clone(), reason })?;
    cei_files::write(&files.svg, svg.as_bytes())?;
    cei_files::write(&files.png, &png)?;
    Ok(files)
}

/// Appends to the file name; `Path::with_extension` would cut a stem such as `epoch-0.5`.
pub(crate) fn with_suffix(stem: &Path, suffix: &str) -> PathBuf {
    let mut name = stem.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let scene = Scene::new(100.0, 100.0);
        let error = write(&folder.path().join("none/figure"), &scene).unwrap_err();
        assert!(error.to_string().contains("none/figure.svg"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn dots_in_the_stem_are_kept_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let files = write(&folder.path().join("noise-0.5"), &Scene::new(100.0, 100.0)).unwrap();
        assert!(files.svg.ends_with("noise-0.5.svg"));
        let names = std::fs::read_dir(folder.path()).unwrap();
        assert_eq!(names.count(), 2);
    }
}
