//! What Slurm tells a process in its environment: which task of an array it is, and how many processors it has.

use cei_run::shard::{NoShard, Shard};
use thiserror::Error;

/// The number of a task, and the array that it is of.
const TASK: &str = "SLURM_ARRAY_TASK_ID";
const COUNT: &str = "SLURM_ARRAY_TASK_COUNT";
const MIN: &str = "SLURM_ARRAY_TASK_MIN";
const MAX: &str = "SLURM_ARRAY_TASK_MAX";
const STEP: &str = "SLURM_ARRAY_TASK_STEP";

/// Processors of a task, where they are asked for; else those of the job on this node.
pub(crate) const PROCESSORS: [&str; 2] = ["SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"];

/// The part of a work that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AskedShard {
    /// This one.
    Given(Shard),
    /// That of this task of an array.
    Slurm,
}

impl AskedShard {
    pub(crate) fn parse(text: &str) -> Result<Self, NoShard> {
        if text == "slurm" { Ok(Self::Slurm) } else { text.parse().map(Self::Given) }
    }
}

/// Why an environment says no shard.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum NoTask {
    #[error(
        "`--shard slurm`: {0} is not set\nhint: it is within a task of an array (`sbatch --array=1-8`); elsewhere give the part, as `--shard 2/8`"
    )]
    NotSet(&'static str),
    #[error("`--shard slurm`: {name} is `{value}`, which is no number")]
    NoNumber { name: &'static str, value: String },
    #[error(
        "`--shard slurm`: {COUNT} is {count}, but from {min} to {max} in steps of {step} there are {found} tasks\nhint: an array with gaps does not tell its shards: to make some again, give each its part, as `--shard ${TASK}/8`"
    )]
    Gaps { count: usize, min: usize, max: usize, step: usize, found: usize },
    #[error(
        "`--shard slurm`: {TASK} is {task}, but tasks are numbered from {min} to {max} in steps of {step}"
    )]
    Outside { task: usize, min: usize, max: usize, step: usize },
    #[error(
        "`--shard slurm`: the only task of the array has the number {0}\nhint: to make one shard of an earlier array again, give its part, as `--shard {0}/8`"
    )]
    Alone(usize),
    #[error("`--shard slurm`: {0}")]
    Shard(#[from] NoShard),
}

/// The shard of a task of an array, by its `variables`: the first task is shard 1, whatever its number is. Minimum and maximum may
/// be absent, as in other batch systems that set the same names; tasks are then numbered from 1.
///
/// # Errors
/// Variables that are absent, no numbers, or do not fit each other; an array of one task that is not numbered 0 or 1, as of one that is
/// made again.
pub(crate) fn shard(variables: impl Fn(&str) -> Option<String>) -> Result<Shard, NoTask> {
    let number = |name: &'static str| match variables(name) {
        None => Ok(None),
        Some(value) => match value.parse::<usize>() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(NoTask::NoNumber { name, value }),
        },
    };
    let needed = |name| number(name)?.ok_or(NoTask::NotSet(name));
    let (task, count) = (needed(TASK)?, needed(COUNT)?);
    let (step, min) = (number(STEP)?.unwrap_or(1).max(1), number(MIN)?.unwrap_or(1));
    let max =
        number(MAX)?.unwrap_or(min.saturating_add(count.saturating_sub(1).saturating_mul(step)));
    let found = max.checked_sub(min).map_or(0, |span| span / step + 1);
    if found != count {
        return Err(NoTask::Gaps { count, min, max, step, found });
    }
    let steps = task.checked_sub(min).filter(|past| task <= max && past.is_multiple_of(step));
    let steps = steps.ok_or(NoTask::Outside { task, min, max, step })?;
    if count == 1 && task > 1 {
        return Err(NoTask::Alone(task));
    }
    Ok(Shard::new(steps / step + 1, count)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shard of a task, where id, count, minimum, maximum and step are these.
    fn of(values: [Option<&str>; 5]) -> Result<String, NoTask> {
        let names = [TASK, COUNT, MIN, MAX, STEP];
        let variable = |name: &str| {
            let place = names.iter().position(|own| *own == name)?;
            values[place].map(str::to_owned)
        };
        shard(variable).map(|shard| shard.to_string())
    }

    #[test]
    fn tasks_of_any_numbering_are_shards_from_one() {
        for (values, expected) in [
            (["1", "8", "1", "8", "1"], "1/8"),
            (["8", "8", "1", "8", "1"], "8/8"),
            (["0", "8", "0", "7", "1"], "1/8"),
            (["7", "8", "0", "7", "1"], "8/8"),
            (["5", "3", "5", "7", "1"], "1/3"),
            (["30", "4", "10", "40", "10"], "3/4"),
            // The last number of `--array=0-7:3` is 6.
            (["6", "3", "0", "6", "3"], "3/3"),
            (["0", "1", "0", "0", "1"], "1/1"),
            (["1", "1", "1", "1", "1"], "1/1"),
        ] {
            assert_eq!(of(values.map(Some)).as_deref(), Ok(expected), "{values:?}");
        }
        assert_eq!(of([Some("2"), Some("4"), None, None, None]).as_deref(), Ok("2/4"));
    }

    #[test]
    fn an_environment_without_a_shard_is_refused() {
        assert_eq!(of([None; 5]), Err(NoTask::NotSet(TASK)));
        assert_eq!(of([Some("1"), None, None, None, None]), Err(NoTask::NotSet(COUNT)));
        let told = of(["x", "8", "1", "8", "1"].map(Some));
        assert_eq!(told, Err(NoTask::NoNumber { name: TASK, value: "x".to_owned() }));
        // Tasks 2 and 5 of eight, made again.
        let told = of(["2", "2", "2", "5", "1"].map(Some));
        assert_eq!(told, Err(NoTask::Gaps { count: 2, min: 2, max: 5, step: 1, found: 4 }));
        let told = of(["9", "8", "1", "8", "1"].map(Some));
        assert_eq!(told, Err(NoTask::Outside { task: 9, min: 1, max: 8, step: 1 }));
        let told = of(["0", "8", "1", "8", "1"].map(Some));
        assert_eq!(told, Err(NoTask::Outside { task: 0, min: 1, max: 8, step: 1 }));
        let told = of(["5", "3", "0", "6", "3"].map(Some));
        assert_eq!(told, Err(NoTask::Outside { task: 5, min: 0, max: 6, step: 3 }));
        assert_eq!(of(["3", "1", "3", "3", "1"].map(Some)), Err(NoTask::Alone(3)));
        assert!(matches!(of(["1", "0", "1", "8", "1"].map(Some)), Err(NoTask::Gaps { .. })));
        assert!(matches!(of(["1", "8", "9", "2", "1"].map(Some)), Err(NoTask::Gaps { .. })));
    }
}
