//! The device `vulkan`, on the software device lavapipe of Mesa: train, interrupt, resume, evaluate and predict, beside the
//! processor. It takes what a graphics processor would, but for its speed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::cargo::{cargo, metadata};
use crate::say;

/// Where the driver of lavapipe says that it is there.
const DRIVERS: [&str; 2] = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"];

/// How far the losses of two devices may lie apart after [`EPOCHS`].
const TOLERANCE: f64 = 1e-3;
const EPOCHS: usize = 5;

/// Experiments, and what makes them small.
const EXPERIMENTS: [(&str, &[&str]); 3] = [
    ("gauge-fixed-cinn", &["model.hidden=[32, 32]", "model.couplings=6"]),
    ("gauge-fixed-spline", &["model.hidden=[32, 32]", "model.couplings=2"]),
    ("reference-cvae", &["model.encoder_hidden=[64, 64]", "training.ema_decay=0.9"]),
];

/// Longest that the first checkpoint may take.
const PATIENCE: Duration = Duration::from_mins(10);

/// Builds the command line with the backend and tests it on lavapipe.
pub(crate) fn check() -> anyhow::Result<()> {
    let driver = driver()?;
    let build = ["build", "--workspace", "--release", "--bin", "cei"];
    cargo(&[build.as_slice(), &["--features", "cei-cli/vulkan"]].concat(), &[])?;
    let target = metadata()?.target_directory;
    let folder = target.join("vulkan");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).context("files of an earlier run cannot be removed")?;
    }
    std::fs::create_dir_all(&folder)?;
    let cei = Cei { program: target.join("release/cei"), driver, folder };
    cei.run(&["devices", "--time"])?;
    cei.run(&["simulate", "--preset", "ocs-reference", "--events", "1000", "-o", "table.parquet"])?;
    for (name, small) in EXPERIMENTS {
        cei.compare(name, small)?;
    }
    say("vulkan: trained, resumed, evaluated and predicted as on the processor");
    Ok(())
}

/// The file that tells the Vulkan loader where lavapipe is; another driver where `VK_DRIVER_FILES` names one.
fn driver() -> anyhow::Result<PathBuf> {
    if let Some(named) = std::env::var_os("VK_DRIVER_FILES") {
        return Ok(PathBuf::from(named));
    }
    let files = DRIVERS.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
    let is_lavapipe = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("lvp_icd"))
    };
    let found = files.flatten().map(|file| file.path()).find(is_lavapipe);
    found.context(
        "the software device lavapipe is not there\nhint: Debian: `apt-get install mesa-vulkan-drivers libvulkan1`",
    )
}

/// The command line, in a folder and with no Vulkan device but lavapipe.
struct Cei {
    program: PathBuf,
    driver: PathBuf,
    folder: PathBuf,
}

impl Cei {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).current_dir(&self.folder).env("VK_DRIVER_FILES", &self.driver);
        command.env("VK_ICD_FILENAMES", &self.driver);
        command
    }

    fn run(&self, args: &[&str]) -> anyhow::Result<()> {
        let begun = Instant::now();
        let status = self.command(args).status()?;
        ensure!(status.success(), "`cei {}` failed", args.join(" "));
        say(&format!("`cei {}`: {:.0} s", args.join(" "), begun.elapsed().as_secs_f64()));
        Ok(())
    }

    /// Trains an experiment on the processor and on the device, there also with an interruption after which each of the two goes
    /// on, and uses the run.
    fn compare(&self, name: &str, small: &[&str]) -> anyhow::Result<()> {
        let epochs = format!("training.max_epochs={EPOCHS}");
        let mut settings =
            vec!["source.files=['table.parquet']", "training.batch_size=128", &epochs];
        settings.extend(small);
        let train = |run: &str, device: &'static str| -> Vec<String> {
            let mut args =
                vec!["train", "--preset", name, "-o", run, "--device", device, "--quiet"];
            args.extend(settings.iter().flat_map(|setting| ["--set", setting]));
            args.into_iter().map(str::to_owned).collect()
        };
        let [cpu, whole] = ["cpu", "vulkan"].map(|device| format!("{name}-{device}"));
        for (run, device) in [(&cpu, "cpu"), (&whole, "vulkan")] {
            let args = train(run, device);
            self.run(&args.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
        let mut runs = vec![whole.clone()];
        for device in ["vulkan", "cpu"] {
            let run = format!("{name}-resumed-on-{device}");
            self.interrupt(&train(&run, "vulkan"), &run)?;
            self.run(&["train", "--resume", "-o", &run, "--device", device, "--quiet"])?;
            runs.push(run);
        }
        let expected = self.losses(&cpu)?;
        for run in &runs {
            let found = self.losses(run)?;
            ensure!(found.len() == EPOCHS, "`{run}` has {} epochs", found.len());
            for (found, expected) in found.iter().zip(&expected) {
                let error = (found - expected).abs();
                ensure!(
                    error < TOLERANCE,
                    "`{run}`: a loss of {found}, on the processor {expected}"
                );
            }
            let last = |losses: &[f64]| losses.last().copied().unwrap_or(f64::NAN);
            say(&format!("`{run}`: last loss {}, `{cpu}`: {}", last(&found), last(&expected)));
        }
        self.run(&["evaluate", &whole, "--device", "vulkan", "--quiet"])?;
        let draws = format!("{whole}/draws.parquet");
        let predict = ["predict", &whole, "table.parquet", "-n", "100", "-o", &draws];
        self.run(&[predict.as_slice(), &["--device", "vulkan", "--quiet"]].concat())
    }

    /// Begins a training and interrupts it as Ctrl-C does, once there is a checkpoint.
    fn interrupt(&self, args: &[String], run: &str) -> anyhow::Result<()> {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut child = self.command(&args).spawn()?;
        let (checkpoint, begun) =
            (self.folder.join(run).join("checkpoint.safetensors"), Instant::now());
        while !checkpoint.exists() {
            ensure!(begun.elapsed() < PATIENCE, "`{run}` has no checkpoint");
            if child.try_wait()?.is_some() {
                bail!("`cei {}` ended before it was interrupted", args.join(" "));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status()?;
        ensure!(status.success(), "`kill` failed");
        child.wait()?;
        Ok(())
    }

    /// The validation losses of the epochs of a run.
    fn losses(&self, run: &str) -> anyhow::Result<Vec<f64>> {
        let path = self.folder.join(run).join("history.csv");
        let text = std::fs::read_to_string(&path).context(path.display().to_string())?;
        column(&text, "validation_loss").with_context(|| in_file(&path))
    }
}

fn in_file(path: &Path) -> String {
    format!("`{}` has no losses", path.display())
}

/// The numbers of a column of a CSV table.
fn column(text: &str, name: &str) -> Option<Vec<f64>> {
    let mut lines = text.lines();
    let place = lines.next()?.split(',').position(|column| column == name)?;
    lines.map(|line| line.split(',').nth(place)?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_found_by_its_name() {
        let text = "epoch,loss,validation_loss\n1,3.0,-2.5\n2,2.0,1e-3\n";
        assert_eq!(column(text, "validation_loss"), Some(vec![-2.5, 1e-3]));
        assert_eq!(column(text, "other"), None);
        assert_eq!(column("epoch,loss\n1,x\n", "loss"), None);
    }
}
