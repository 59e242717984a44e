//! A page in headless Chromium (`chromium` of Debian, or what `CHROMIUM` names): no error in its console, every figure
//! there, no text cut off, and nothing wider than a telephone.

use std::process::Command;

use serde_json::Value;

use crate::folder::{Folder, TestResult};
use crate::{figures, with_run};

/// Measures the page in a frame of each width, and leaves the result in its own document. It has a line in the console
/// itself, so that a browser that says nothing there is noticed.
const MEASURE: &str = r#"<!doctype html><meta charset="utf-8"><pre id="result"></pre><script>
const widths = [360, 1280], results = [];
function measure(width) {
  return new Promise(done => {
    const frame = document.createElement("iframe");
    frame.style = `width:${width}px;height:900px;border:0`;
    frame.onload = () => {
      const page = frame.contentDocument, root = page.documentElement, bad = [];
      for (const figure of page.querySelectorAll("figure")) {
        const name = figure.dataset.figure;
        const shown = [...figure.querySelectorAll(".panels > svg")];
        if (shown.length === 0) bad.push(`${name}: no drawing`);
        for (const svg of shown) {
          const room = svg.getBoundingClientRect();
          if (room.width < 200 || room.height < 60) bad.push(`${name}: ${room.width} x ${room.height}`);
          for (const text of svg.querySelectorAll("text")) {
            const box = text.getBoundingClientRect();
            if (box.left < room.left - 1 || box.right > room.right + 1 || box.top < room.top - 1 || box.bottom > room.bottom + 1)
              bad.push(`${name}: "${text.textContent}" is cut off`);
            if (box.height < 9) bad.push(`${name}: "${text.textContent}" is ${box.height} high`);
          }
        }
        if (!figure.querySelector(".reading").textContent) bad.push(`${name}: no reading`);
      }
      results.push({ width, inner: root.clientWidth, content: root.scrollWidth,
        figures: [...page.querySelectorAll("figure")].map(figure => figure.dataset.figure), bad });
      frame.remove();
      done();
    };
    frame.src = "page.html";
    document.body.append(frame);
  });
}
(async () => {
  for (const width of widths) await measure(width);
  document.getElementById("result").textContent = JSON.stringify(results);
  console.log("measured");
})();
</script>"#;

#[test]
#[ignore = "needs chromium; `.ci/run` installs it"]
fn a_browser_shows_every_figure_on_any_screen() -> TestResult {
    let folder = with_run()?;
    folder.run("evaluate run --draws 50 --quiet")?;
    folder.run("calibrate run --events 200 --draws 39 --quiet")?;
    folder.run("simulate --preset ocs-wide --events 30 --seed 9 -o own.csv --quiet")?;
    for command in [
        "report run -o page.html",
        "report run run --no-modes -o page.html",
        "predict run own.csv -n 100 --refine -o draws.csv --report page.html --quiet",
    ] {
        folder.run(command)?;
        folder.write("measure.html", MEASURE)?;
        let (results, console) = measured(&folder)?;
        assert_eq!(console, ["measured"], "{command}");
        let expected = figures(&folder.read("page.html")?);
        for result in results.as_array().ok_or("no results")? {
            assert_eq!(result["bad"], Value::Array(Vec::new()), "{command}");
            let shown: Vec<String> = serde_json::from_value(result["figures"].clone())?;
            assert_eq!(shown, expected, "{command}");
            assert!(
                result["content"].as_u64() <= result["inner"].as_u64(),
                "{command}: {} wide on a screen of {}",
                result["content"],
                result["width"]
            );
        }
    }
    Ok(())
}

/// What the page of measurements found, and the lines of the console.
fn measured(folder: &Folder) -> TestResult<(Value, Vec<String>)> {
    let browser = std::env::var("CHROMIUM").unwrap_or_else(|_| "chromium".to_owned());
    let output = Command::new(&browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .args(["--allow-file-access-from-files", "--enable-logging=stderr", "--log-level=0"])
        .args(["--virtual-time-budget=60000", "--window-size=1400,1000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", folder.path("profile").display()))
        .arg(format!("file://{}", folder.path("measure.html").display()))
        .output()
        .map_err(|error| format!("`{browser}` cannot be started: {error}"))?;
    let (dom, told) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let result = dom.split("id=\"result\">").nth(1).and_then(|rest| rest.split("</pre>").next());
    let result =
        result.filter(|text| !text.is_empty()).ok_or_else(|| format!("no result: {told}"))?;
    let result = result.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let console = told.lines().filter(|line| line.contains("CONSOLE"));
    let message = |line: &str| line.split('"').nth(1).unwrap_or(line).to_owned();
    Ok((serde_json::from_str(&result)?, console.map(message).collect()))
}
