//! The scripts of docs/cluster.md on a real Slurm of one node, which this test starts as its own user on the loopback interface: an
//! array of which two tasks are killed and requeued makes the bytes of a single process, a training that is preempted and warned of its
//! time limit makes the weights of one that nothing interrupted.

#![cfg(target_os = "linux")]

mod folder;

use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use folder::{Folder, TestResult};

/// What has to be installed (Debian: `apt-get install slurm-wlm munge`).
const PROGRAMS: [&str; 4] = ["munged", "slurmctld", "slurmd", "sbatch"];

/// What makes the scripts of the guide quick that take hours. The training learns little, and takes its time.
const SHORTENED: [(&str, &str); 3] = [
    ("--events 100000000", "--events 1600000"),
    ("--refine -n 1000", "--refine -n 200"),
    (
        "--preset wide-cinn --data events.parquet",
        "--preset wide-cinn --data t.csv --set model.hidden=[32,32] --set model.couplings=6 \
         --set training.max_epochs=EPOCHS --set training.patience=1000",
    ),
];
const EPOCHS: usize = 1500;

/// So long nothing takes.
const LIMIT: Duration = Duration::from_secs(240);

/// A cluster, and the folder in which its jobs run.
struct Cluster {
    folder: Folder,
    begun: Instant,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.slurm("scancel --user $(id -un); sleep 1");
        for name in ["slurmd", "slurmctld", "munged"] {
            let pid = std::fs::read_to_string(self.own(&format!("{name}.pid")));
            let pid = pid.map(|pid| pid.trim().to_owned()).unwrap_or_default();
            let _ = Command::new("kill").arg(pid).stderr(Stdio::null()).status();
        }
        std::thread::sleep(Duration::from_secs(2));
    }
}

impl Cluster {
    fn start() -> TestResult<Self> {
        let cluster = Self { folder: Folder::empty()?, begun: Instant::now() };
        for folder in ["slurm/state", "slurm/spool"] {
            std::fs::create_dir_all(cluster.folder.path(folder))?;
        }
        let own = cluster.own("");
        let own = own.display();
        let ports = [free_port()?, free_port()?];
        std::fs::write(cluster.own("slurm.conf"), configuration(&own.to_string(), ports)?)?;
        cluster.slurm(&format!(
            "cd {own}
             head -c 1024 /dev/urandom > munge.key
             chmod 600 munge.key
             munged --force --socket=munge.sock --key-file=$PWD/munge.key --pid-file=$PWD/munged.pid \
                 --log-file=$PWD/munged.log --seed-file=$PWD/munge.seed
             slurmctld
             slurmd"
        ))?;
        cluster.wait("the node", || Ok(cluster.slurm("sinfo -h -o %T")?.trim() == "idle"))?;
        Ok(cluster)
    }

    /// A file of the cluster itself.
    fn own(&self, name: &str) -> PathBuf {
        self.folder.path("slurm").join(name)
    }

    /// What a script prints that knows the cluster and finds `cei`.
    fn slurm(&self, script: &str) -> TestResult<String> {
        let programs = Path::new(env!("CARGO_BIN_EXE_cei")).parent().ok_or("no folder")?;
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(self.folder.path(""))
            .env("PATH", format!("{}:{path}:/usr/sbin:/sbin", programs.display()))
            .env("SLURM_CONF", self.own("slurm.conf"))
            .output()?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{script}: {told}");
        let printed = String::from_utf8(output.stdout)?;
        Ok(printed)
    }

    /// The same, said with its time, for whoever reads the transcript.
    fn said(&self, script: &str) -> TestResult<String> {
        let printed = self.slurm(script)?;
        let seconds = self.begun.elapsed().as_secs_f64();
        say(&format!("[{seconds:5.1} s] $ {}\n{printed}", script.trim()));
        Ok(printed)
    }

    fn wait(&self, what: &str, is_so: impl Fn() -> TestResult<bool>) -> TestResult {
        let begun = Instant::now();
        while !is_so()? {
            assert!(begun.elapsed() < LIMIT, "{what}: {}", self.slurm("squeue --array")?);
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Waits until a job or task is in this state.
    fn state(&self, job: &str, state: &str) -> TestResult {
        self.wait(&format!("{job} {state}"), || {
            Ok(self
                .slurm(&format!("scontrol show job {job}"))?
                .contains(&format!("JobState={state}")))
        })
    }

    /// Waits until all jobs have ended.
    fn done(&self) -> TestResult {
        self.wait("the queue", || Ok(self.slurm("squeue -h")?.trim().is_empty()))
    }

    /// Kills `cei` in a task, as the system does that has no memory left.
    fn kill(&self, task: &str) -> TestResult {
        self.said(&format!(
            "for pid in $(scontrol listpids $(squeue -h -j {task} -o %A) | awk 'NR > 1 {{ print $1 }}'); do
                 if [ \"$(cat /proc/$pid/comm)\" = cei ]; then kill -KILL $pid; fi
             done"
        ))?;
        Ok(())
    }
}

/// The transcript is for whoever runs this test.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// One node of two processors, and a partition whose jobs preempt those of the other. Requeued jobs wait for five seconds.
fn configuration(own: &str, [controller, node]: [u16; 2]) -> TestResult<String> {
    let printed = |command: &str, argument: &str| -> TestResult<String> {
        let output = Command::new(command).arg(argument).output()?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let (host, user) = (printed("hostname", "-s")?, printed("id", "-un")?);
    let cores = std::thread::available_parallelism()?.get().min(2);
    Ok(format!(
        "ClusterName=test\nSlurmctldHost={host}(127.0.0.1)\nSlurmUser={user}\nSlurmdUser={user}\n\
         SlurmctldPort={controller}\nSlurmdPort={node}\n\
         AuthType=auth/munge\nCredType=cred/munge\nAuthInfo=socket={own}/munge.sock,cred_expire=5\n\
         StateSaveLocation={own}/state\nSlurmdSpoolDir={own}/spool\n\
         SlurmctldPidFile={own}/slurmctld.pid\nSlurmdPidFile={own}/slurmd.pid\n\
         SlurmctldLogFile={own}/slurmctld.log\nSlurmdLogFile={own}/slurmd.log\n\
         ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nJobAcctGatherType=jobacct_gather/none\n\
         AccountingStorageType=accounting_storage/none\nMpiDefault=none\nReturnToService=2\n\
         SchedulerParameters=sched_interval=2,bf_interval=2\n\
         SelectType=select/cons_tres\nSelectTypeParameters=CR_CPU\nKillWait=20\n\
         PreemptType=preempt/partition_prio\nPreemptMode=REQUEUE\n\
         NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} State=UNKNOWN\n\
         PartitionName=low Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1\n\
         PartitionName=high Nodes={host} MaxTime=INFINITE State=UP PriorityTier=2 PreemptMode=OFF\n"
    ))
}

/// What the page of the guide has.
struct Guide {
    /// Names and lines of the scripts.
    scripts: Vec<(String, String)>,
    /// What submits them, in order.
    submitted: Vec<String>,
}

fn guide() -> TestResult<Guide> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cluster.md");
    let page = std::fs::read_to_string(page)?;
    let bodies = page.split("\n```sh long\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let (scripts, submitted): (Vec<_>, Vec<_>) =
        bodies.map(str::to_owned).partition(|body| body.starts_with("#!"));
    let named = scripts.into_iter().map(|script| {
        let name = script.split("--job-name=").nth(1).and_then(|rest| rest.lines().next());
        let name = format!("{}.sbatch", name.unwrap_or_default());
        let quick = SHORTENED.iter().fold(script, |script, (long, quick)| {
            script.replace(long, &quick.replace("EPOCHS", &EPOCHS.to_string()))
        });
        (name, quick)
    });
    Ok(Guide { scripts: named.collect(), submitted })
}

#[test]
#[ignore = "needs Slurm and munge (Debian: slurm-wlm, munge): `cargo test --test slurm -- --ignored --nocapture`"]
fn the_scripts_of_the_guide_run_and_survive() -> TestResult {
    let is_there = |program: &&str| {
        let folders = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        folders.split(':').any(|folder| Path::new(folder).join(program).is_file())
    };
    if let Some(missing) = PROGRAMS.iter().find(|program| !is_there(program)) {
        say(&format!("skipped: there is no `{missing}` (Debian: apt-get install slurm-wlm munge)"));
        return Ok(());
    }
    let Guide { scripts, submitted } = guide()?;
    let [simulate, refine, train] = submitted.as_slice() else {
        return Err(format!("{} submissions", submitted.len()).into());
    };
    let cluster = Cluster::start()?;
    let folder = &cluster.folder;
    for (name, script) in &scripts {
        folder.write(name, script)?;
    }
    cluster.said("sinfo --version")?;

    // Two of eight tasks are killed: one by the system, which fails, and one by Slurm.
    cluster.said(&format!("{simulate}\necho array $array"))?;
    let array = "1";
    for task in 1..=2 {
        cluster.state(&format!("{array}_{task}"), "RUNNING")?;
    }
    std::thread::sleep(Duration::from_millis(500));
    cluster.kill(&format!("{array}_1"))?;
    cluster.said(&format!("scontrol requeue {array}_2"))?;
    cluster.state(&format!("{array}_1"), "FAILED")?;
    cluster.said(&format!("squeue --array; scontrol requeue {array}_1"))?;
    cluster.done()?;
    let restarts = cluster.said(&format!(
        "for i in 1 2 3 4 5 6 7 8; do scontrol show job {array}_$i | tr -s ' \\n' ' ' | grep -oE 'JobState=[A-Z]+|Restarts=[0-9]+' | xargs; done"
    ))?;
    let expected = ["JobState=COMPLETED Restarts=1"; 2].into_iter();
    let expected = expected.chain(["JobState=COMPLETED Restarts=0"; 6]);
    assert!(restarts.lines().eq(expected), "{restarts}");
    cluster.said("cat merge.log")?;
    cluster.slurm(
        "cei simulate --preset ocs-wide --events 1600000 --seed 1 --quiet -o single.parquet",
    )?;
    let sums = cluster.said("sha256sum events.parquet single.parquet")?;
    let sums: Vec<&str> = sums.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(sums.len() == 2 && sums[0] == sums[1], "{sums:?}");

    // The training is preempted, then warned of its time limit.
    folder.run("simulate --preset ocs-wide --events 4000 --seed 1 -o t.csv --quiet")?;
    let whole = scripts.iter().find(|(name, _)| name == "train.sbatch").map(|(_, script)| {
        let line = script.lines().find(|line| line.contains("--preset"));
        line.unwrap_or_default().trim().replace("runs/wide", "whole").replace(" &", "")
    });
    std::fs::create_dir(folder.path("runs"))?;
    let told = cluster.said(train)?;
    let job = told.trim().rsplit(' ').next().unwrap_or_default().to_owned();
    // Each of its three runs is long enough to be in the midst of it.
    let saved = || Ok(folder.path("runs/wide/checkpoint.safetensors").exists());
    cluster.wait("the first checkpoint", saved)?;
    std::thread::sleep(Duration::from_secs(2));
    cluster.said("sbatch --partition=high --cpus-per-task=$(nproc) --job-name=urgent --output=%x.log --wrap 'sleep 1'; sleep 1; squeue")?;
    cluster.state(&job, "PENDING")?;
    cluster.state(&job, "RUNNING")?;
    std::thread::sleep(Duration::from_secs(3));
    cluster.said(&format!("scancel --batch --signal=USR1 {job}; sleep 1; squeue"))?;
    cluster.done()?;
    let log = cluster.said("cat train.log")?;
    assert_eq!(log.matches("interrupted; the state is saved").count(), 2, "{log}");
    cluster.slurm(&whole.ok_or("no training")?)?;
    let sums = cluster.said("sha256sum runs/wide/model.safetensors whole/model.safetensors")?;
    let sums: Vec<&str> = sums.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(sums.len() == 2 && sums[0] == sums[1], "{sums:?}");

    folder.run("simulate --preset ocs-wide --events 60 --seed 9 -o measured.csv --quiet")?;
    cluster.said(refine)?;
    cluster.done()?;
    cluster.said("cat merge-refined.log")?;
    let single =
        "predict runs/wide measured.csv --refine -n 200 --quiet -o d.parquet --summary s.csv";
    folder.run(single)?;
    for (merged, single) in [("draws.parquet", "d.parquet"), ("summary.csv", "s.csv")] {
        assert!(
            std::fs::read(folder.path(merged))? == std::fs::read(folder.path(single))?,
            "{merged}"
        );
    }
    Ok(())
}
