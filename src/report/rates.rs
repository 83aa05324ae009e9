//! Where a stage is harder on some languages or sources than on the others, so that a bias shows.
//!
//! A group's removal rate is held against that of all other documents of the same stage. It is named where
//! the two differ by more than chance explains (two-proportion z-test, |z| of 3 or more; a group tells nothing
//! with fewer than 20 documents, or where fewer than 5 went and fewer than 5 were to be expected), the largest difference first. That a rate differs does not say that it is
//! wrong: a source may be worse.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::stage::Flow;

/// Documents below which a group is not judged.
const MIN_DOCS: u64 = 20;
/// Dropped documents, found or expected, below which a group is not judged: the test is for no fewer.
const MIN_DROPPED: f64 = 5.0;
/// Least |z| of a difference.
const MIN_Z: f64 = 3.0;
/// Differences that are named.
const MOST: usize = 30;

/// A language or source that a stage drops more or less often than the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uneven {
    /// The stage.
    pub stage: String,
    /// `language` or `source`.
    pub kind: String,
    /// The language or the source.
    pub name: String,
    /// Its documents.
    pub group: Flow,
    /// All other documents that came into the stage.
    pub others: Flow,
}

impl Uneven {
    /// The group's rate less that of the others, -1 to 1.
    #[must_use]
    pub fn difference(&self) -> f64 {
        rate(self.group) - rate(self.others)
    }
}

fn rate(flow: Flow) -> f64 {
    if flow.docs_in == 0 { 0.0 } else { flow.docs_dropped as f64 / flow.docs_in as f64 }
}

/// Whether languages are known at all: before the stage that finds them every document has none.
pub(super) fn known(flows: &BTreeMap<String, Flow>) -> bool {
    flows.keys().any(|name| name != "unknown")
}

fn total<'f>(flows: impl Iterator<Item = &'f Flow>) -> Flow {
    flows.fold(Flow::default(), |sum, flow| Flow {
        docs_in: sum.docs_in + flow.docs_in,
        docs_dropped: sum.docs_dropped + flow.docs_dropped,
    })
}

/// Whether a group's rate differs from the others' by more than chance explains.
fn differs(group: Flow, others: Flow) -> bool {
    if group.docs_in < MIN_DOCS || others.docs_in < MIN_DOCS {
        return false;
    }
    let all = Flow {
        docs_in: group.docs_in + others.docs_in,
        docs_dropped: group.docs_dropped + others.docs_dropped,
    };
    if (group.docs_dropped as f64).max(rate(all) * group.docs_in as f64) < MIN_DROPPED {
        return false;
    }
    let spread = rate(all) * (1.0 - rate(all)) * (1.0 / group.docs_in as f64 + 1.0 / others.docs_in as f64);
    (rate(group) - rate(others)).abs() >= MIN_Z * spread.sqrt() && spread > 0.0
}

/// The uneven groups of all stages, largest difference first. A stage is its name, its flows by language
/// and its flows by source.
pub(super) fn uneven<'s>(
    stages: impl Iterator<Item = (&'s str, &'s BTreeMap<String, Flow>, &'s BTreeMap<String, Flow>)>,
) -> Vec<Uneven> {
    let mut found = Vec::new();
    for (stage, languages, sources) in stages {
        for (kind, flows) in [("language", languages), ("source", sources)] {
            let all = total(flows.values());
            for (name, group) in flows {
                let others = Flow {
                    docs_in: all.docs_in - group.docs_in,
                    docs_dropped: all.docs_dropped - group.docs_dropped,
                };
                if differs(*group, others) {
                    let (stage, kind, name) = (stage.to_owned(), kind.to_owned(), name.clone());
                    found.push(Uneven { stage, kind, name, group: *group, others });
                }
            }
        }
    }
    // Stable: equal differences stay in pipeline order.
    found.sort_by(|a, b| b.difference().abs().total_cmp(&a.difference().abs()));
    found.truncate(MOST);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flows(rows: &[(&str, u64, u64)]) -> BTreeMap<String, Flow> {
        let flow = |(name, docs_in, docs_dropped): &(&str, u64, u64)| {
            ((*name).to_owned(), Flow { docs_in: *docs_in, docs_dropped: *docs_dropped })
        };
        rows.iter().map(flow).collect()
    }

    #[test]
    fn only_differences_beyond_chance_are_named() {
        let languages = flows(&[("ar", 50, 40), ("de", 400, 40), ("en", 4000, 420), ("xx", 5, 5)]);
        let even = flows(&[("a", 100, 10), ("b", 1000, 103)]);
        // Two of three removed copies in one language: no more than a pair.
        let few = flows(&[("de", 38, 2), ("en", 381, 1)]);
        let none = flows(&[("a", 100, 0), ("b", 100, 0)]);
        let found = uneven([("q", &languages, &even), ("r", &none, &few)].into_iter());
        let names: Vec<&str> = found.iter().map(|uneven| uneven.name.as_str()).collect();
        // German is judged against all others, Arabic among them: 10 % of 400 is not far from 11.5 %.
        assert_eq!(names, ["ar", "en"]);
        assert_eq!(found[0].others, Flow { docs_in: 4405, docs_dropped: 465 });
        assert!(found[0].difference() > 0.69 && found[1].difference() < 0.0);
    }

    #[test]
    fn one_group_alone_has_nothing_to_differ_from() {
        let one = flows(&[("unknown", 500, 100)]);
        assert!(uneven([("q", &one, &one)].into_iter()).is_empty());
        assert!(!known(&one) && known(&flows(&[("de", 1, 0)])));
    }
}
