//! What was meant by a name that does not exist: a column, a key, a preset, a command.

/// The most similar of `names` to one that is none of them, if any is similar at all. Upper and lower case, `-` and `_` are
/// alike. Similar is what differs in at most a third of its letters (by the distance of Damerau and Levenshtein: letters
/// added, left out, changed, or swapped with the next one); failing that, what one name is a part of; failing that,
/// what differs in at most half of its letters.
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let wanted = plain(name);
    let rank = |candidate: &str| {
        let candidate = plain(candidate);
        let letters = candidate.chars().count().max(wanted.chars().count());
        let distance = strsim::damerau_levenshtein(&wanted, &candidate);
        let is_part = |part: &str, whole: &str| part.len() >= LEAST_PART && whole.contains(part);
        let tier = if 2 * distance <= letters && 3 * distance <= letters.max(3) {
            0
        } else if is_part(&wanted, &candidate) || is_part(&candidate, &wanted) {
            1
        } else if 2 * distance <= letters {
            2
        } else {
            return None;
        };
        let longer = candidate.chars().count().abs_diff(wanted.chars().count());
        Some((tier, distance, longer))
    };
    let ranked = names.into_iter().filter_map(|candidate| Some((rank(candidate)?, candidate)));
    ranked.min_by_key(|(rank, _)| *rank).map(|(_, candidate)| candidate)
}

/// The same as the beginning of a hint.
pub fn did_you_mean<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, names).map(|nearest| format!("did you mean `{nearest}`?"))
}

/// Bytes of a part of a name that is more than chance.
const LEAST_PART: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_lead_to_what_was_meant() {
        let keys = ["learning_rate", "max_epochs", "seed", "momentum_noise_au", "patience"];
        let presets = ["ocs-reference", "ocs-wide", "wide-cinn", "gauge-fixed-cinn"];
        let columns = ["pcx", "pcy", "P1", "event"];
        let beside = ["cx", "pqx"];
        let cases: [(&str, &[&str], Option<&str>); 15] = [
            ("pcx", &beside, Some("pqx")),
            ("lerning_rate", &keys, Some("learning_rate")),
            ("learningrate", &keys, Some("learning_rate")),
            ("sed", &keys, Some("seed")),
            ("esed", &keys, Some("seed")),
            ("noise", &keys, Some("momentum_noise_au")),
            ("momentum-noise-au", &keys, Some("momentum_noise_au")),
            ("colour", &keys, None),
            ("ocs", &presets, Some("ocs-wide")),
            ("OCS_wide", &presets, Some("ocs-wide")),
            ("wide-cnn", &presets, Some("wide-cinn")),
            ("water", &presets, None),
            ("PCX", &columns, Some("pcx")),
            ("p", &columns, Some("P1")),
            ("q", &columns, None),
        ];
        for (name, names, expected) in cases {
            assert_eq!(nearest(name, names.iter().copied()), expected, "{name}");
        }
    }
}
