//! Shards in, model out: what is drawn, what is refused, and that kills and threads change nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use serde_json::json;
use tokenizers::pipeline::PipelineToken;

use super::config::{
    BatchRamp, Data as Sets, Device, Entry, Model as ModelConfig, Numbers, Spikes, Weighted,
};
use super::data::{Data, Position, Sampler};
use super::*;
use crate::error::Error;
use crate::tokens::shard::{ShardInfo, ShardWriter, Width};

/// Writes shards of documents of ids `1..vocab`, each with the end token 0.
fn shards(dir: &Path, docs: &[Vec<u32>], per_shard: usize, width: Width) -> Vec<ShardInfo> {
    let chunks = docs.chunks(per_shard).enumerate();
    chunks
        .map(|(number, docs)| {
            let mut shard = ShardWriter::create(dir, &format!("x_{number:05}"), width).unwrap();
            for (at, doc) in docs.iter().enumerate() {
                let ids: Vec<PipelineToken> = doc.iter().map(|&id| id.into()).collect();
                let mut bytes = Vec::new();
                width.write(&ids, &mut bytes);
                shard.push(&format!("{number}-{at}"), &bytes).unwrap();
            }
            shard.finish().unwrap()
        })
        .collect()
}

fn manifest(dir: &Path, shards: &[ShardInfo], vocab: u32, tokenizer: &str) {
    let manifest = json!({
        "format": "tamis-tokens-1", "name": "x", "tokenizer": { "file": "../tokenizer.json", "sha256": tokenizer },
        "vocab_size": vocab, "dtype": "uint16", "eos_id": 0, "eos_token": "<|endoftext|>", "seed": 1,
        "tokens": shards.iter().map(|shard| shard.tokens).sum::<u64>(),
        "docs": shards.iter().map(|shard| shard.docs).sum::<u64>(), "shards": shards,
    });
    std::fs::write(dir.join("manifest.json"), manifest.to_string()).unwrap();
}

/// Documents that count: each of its own ids, which tell where it stands.
fn docs(count: u32, longest: u32, vocab: u32) -> Vec<Vec<u32>> {
    (0..count)
        .map(|doc| {
            let length = 1 + doc * 7919 % longest;
            (0..length).map(|at| 1 + (doc * 31 + at * 3) % (vocab - 1)).chain([0]).collect()
        })
        .collect()
}

fn set_of(docs: &[Vec<u32>], vocab: u32) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let infos = shards(dir.path(), docs, 100, Width::Two);
    manifest(dir.path(), &infos, vocab, "same");
    dir
}

fn config(data: &Path) -> Config {
    Config {
        data: Sets::One(data.display().to_string()),
        held_out_ratio: 0.1,
        model: ModelConfig::Numbers(Numbers {
            layers: 1,
            dim: 16,
            heads: 2,
            kv_heads: Some(1),
            ffn: Some(24),
            tied: true,
            rope_theta: 1e4,
            norm_eps: 1e-5,
        }),
        context: 16,
        batch_tokens: 64,
        micro_batch_tokens: Some(32),
        device: Device::Cpu,
        tokens: Some(64 * 30),
        learning_rate: 0.03,
        eval_steps: 10,
        checkpoint_steps: 7,
        ..Config::default()
    }
}

#[test]
fn every_token_is_drawn_once_an_epoch_and_none_that_is_held_out() {
    for masked in [false, true] {
        let all = docs(700, 40, 500);
        let dir = set_of(&all, 500);
        let config = Config { mask_documents: masked, ..config(dir.path()) };
        let data = Arc::new(Data::open(&config).unwrap());
        let total: usize = all.iter().map(Vec::len).sum();
        assert_eq!(data.tokens() + data.held_out_tokens(), total as u64);
        let share = data.held_out_tokens() as f64 / total as f64;
        assert!((0.05..0.15).contains(&share), "{share}");
        let held: Vec<u32> =
            data.held_out(u64::MAX).unwrap().iter().flat_map(|rows| rows.inputs.clone()).collect();
        assert_eq!(held.len() as u64, data.held_out_tokens() - 1);
        // What is not held out, in order, is what the sequences hold in some order.
        let sequences = (data.tokens() - 1) / 16;
        let mut sampler = Sampler::new(Arc::clone(&data), 3, Position::default());
        let mut counts: BTreeMap<Vec<u32>, i32> = BTreeMap::new();
        let mut orders = Vec::new();
        for _ in 0..2 {
            let rows = sampler.next(usize::try_from(sequences).unwrap()).unwrap();
            for (input, target) in rows.inputs.chunks(16).zip(rows.targets.chunks(16)) {
                assert_eq!(input[1..], target[..15]);
                *counts.entry(input.to_vec()).or_default() += 1;
            }
            // A document's number changes behind an end token and nowhere else.
            for (row, documents) in rows.inputs.chunks(16).zip(rows.documents.chunks(16)) {
                for at in 1..16 {
                    assert_eq!(row[at - 1] == 0, documents[at - 1] != documents[at]);
                }
            }
            orders.push(rows.inputs);
        }
        assert!(counts.values().all(|count| count % 2 == 0) && orders[0] != orders[1]);
        let drawn: usize = counts.values().map(|&count| usize::try_from(count).unwrap()).sum();
        assert_eq!(drawn as u64, 2 * sequences);
        // From any position on the same follows.
        let mut again = Sampler::new(data, 3, Position { taken: vec![sequences] });
        assert_eq!(again.next(usize::try_from(sequences).unwrap()).unwrap().inputs, orders[1]);
    }
}

#[test]
fn sets_are_drawn_by_weight() {
    let (one, two) = (set_of(&docs(100, 40, 100), 500), set_of(&docs(300, 40, 100), 500));
    let entry = |dir: &tempfile::TempDir, weight| {
        Entry::Weighted(Weighted { path: dir.path().display().to_string(), weight })
    };
    let sets = Sets::Many(vec![entry(&one, 3.0), entry(&two, 1.0)]);
    let config = Config { data: sets, ..config(one.path()) };
    let data = Arc::new(Data::open(&config).unwrap());
    let mut sampler = Sampler::new(Arc::clone(&data), 1, Position::default());
    sampler.next(400).unwrap();
    assert_eq!(sampler.position.taken, [300, 100]);
    assert!((data.epochs(data.tokens_in(4.0)) - 4.0).abs() < 0.01);
}

/// The files that a run leaves, but for times in them.
fn left(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for folder in ["", "checkpoints", "model"] {
        for entry in std::fs::read_dir(dir.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(dir).unwrap().to_path_buf();
            if path.is_dir() || ["metrics.jsonl", "train.html"].contains(&name.to_str().unwrap()) {
                continue;
            }
            files.insert(name, std::fs::read(&path).unwrap());
        }
    }
    let lines = std::fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
    let lines = lines.lines().map(|line| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("tokens_per_sec");
        line.to_string() + "\n"
    });
    files.insert("metrics.jsonl".into(), lines.collect::<String>().into_bytes());
    files
}

/// Trains, stopping and going on after each of `stops` steps (by the cancel flag, which keeps a checkpoint) or losing what came after
/// the last checkpoint (by an error from outside, as a kill would).
fn trained(config: &Config, dir: &Path, stops: &[u64]) -> Outcome {
    for &stop in stops {
        let cancel = AtomicBool::new(false);
        let result = train(config, dir, &cancel, &mut |event| {
            if let Event::Step(metrics) = event {
                if metrics.step == stop && stop.is_multiple_of(2) {
                    cancel.store(true, Ordering::Relaxed);
                }
                assert!(metrics.step < stop || stop.is_multiple_of(2), "killed");
            }
        });
        assert!(matches!(result, Err(Error::Interrupted)));
    }
    train(config, dir, &AtomicBool::new(false), &mut |_| ()).unwrap()
}

#[test]
fn stops_and_threads_change_nothing() {
    let dir = set_of(&docs(400, 40, 100), 100);
    let ramp = Some(BatchRamp { from_tokens: 16, steps: 10 });
    let config = Config { batch_ramp: ramp, mask_documents: true, ..config(dir.path()) };
    let runs = tempfile::tempdir().unwrap();
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let at_once = runs.path().join("at-once");
    let outcome = pool(1).install(|| trained(&config, &at_once, &[]));
    let [first, last] = outcome.held_out.unwrap();
    assert!(last.loss < first.loss - 0.2, "{first:?} {last:?}");
    let files = left(&at_once);
    let broken = runs.path().join("broken");
    assert_eq!(pool(3).install(|| trained(&config, &broken, &[2, 8, 14])), outcome);
    for (name, bytes) in left(&broken) {
        assert!(files.get(&name) == Some(&bytes), "{}", name.display());
    }
    // A kill: nothing is kept of the steps behind the checkpoint.
    let killed = runs.path().join("killed");
    for stop in [3, 11, 25] {
        let run = || trained(&config, &killed, &[stop]);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
    }
    assert_eq!(trained(&config, &killed, &[]), outcome);
    for (name, bytes) in left(&killed) {
        assert!(files.get(&name) == Some(&bytes), "{}", name.display());
    }
    // Finished is finished; other options are refused, and named.
    assert_eq!(trained(&config, &killed, &[]), outcome);
    let other = Config { learning_rate: 0.02, seed: 2, ..config.clone() };
    let error = train(&other, &killed, &AtomicBool::new(false), &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("`learning_rate` was 0.03 and is 0.02, `seed` was 1 and is 2"), "{error}");
}

#[test]
fn what_was_exported_is_the_model() {
    let dir = set_of(&docs(200, 40, 100), 100);
    let config = Config { tokens: Some(640), ..config(dir.path()) };
    let run = tempfile::tempdir().unwrap();
    trained(&config, run.path(), &[]);
    let model = export::read(&run.path().join("model")).unwrap();
    let mut read = model::Model::new(model.shape().clone(), 9);
    let last = *checkpoint::list(&run.path().join("checkpoints")).unwrap().last().unwrap();
    let mut adam = optimizer::AdamW::new(read.parameters().len());
    let state = checkpoint::read(&run.path().join("checkpoints"), last, &mut read, &mut adam).unwrap();
    assert_eq!((state.step, state.updates, adam.steps()), (10, 10, 10));
    assert!(model.parameters() == read.parameters());
    let without = export::open(run.path()).err().unwrap().to_string();
    assert!(without.contains("has no tokenizer.json"), "{without}");
}

#[test]
fn spikes_are_left_out_and_lasting_ones_lead_back() {
    // After some hundred documents of one kind others come that the model has never seen.
    let mut all: Vec<Vec<u32>> =
        (0..300).map(|_| (0..30).map(|at| 1 + at % 3).chain([0]).collect()).collect();
    all.extend(docs(6, 40, 100));
    let dir = set_of(&all, 100);
    let spikes = Spikes { max_z_score: Some(8.0), window: 8, rollback_after: Some(1) };
    let config = Config {
        spikes,
        tokens: Some(64 * 120),
        checkpoint_steps: 10,
        held_out_ratio: 0.0,
        ..config(dir.path())
    };
    let run = tempfile::tempdir().unwrap();
    let mut warnings = 0;
    let outcome = train(&config, run.path(), &AtomicBool::new(false), &mut |event| {
        warnings += u32::from(matches!(event, Event::Warning(_)));
    })
    .unwrap();
    assert!(outcome.rollbacks > 0 && warnings == outcome.rollbacks, "{outcome:?}");
    let lines: Vec<run::Metrics> = judge::read_lines(&run.path().join("metrics.jsonl")).unwrap();
    assert_eq!(lines.iter().map(|line| line.step).collect::<Vec<_>>(), (1..=120).collect::<Vec<_>>());
    assert_eq!(lines.iter().filter(|line| line.skipped).count() as u64, outcome.skipped_steps);
    // Without going back a spike is left out.
    let apart = Config { spikes: Spikes { rollback_after: None, ..spikes }, ..config.clone() };
    let left_out = trained(&apart, tempfile::tempdir().unwrap().path(), &[]);
    assert!(left_out.skipped_steps > 0 && left_out.rollbacks == 0, "{left_out:?}");
    // Kills in between come to the same.
    let killed = tempfile::tempdir().unwrap();
    for stop in [15, 45, 47, 75, 101] {
        let run = || trained(&config, killed.path(), &[stop]);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
    }
    assert_eq!(trained(&config, killed.path(), &[]), outcome);
}

#[test]
fn shards_of_others_are_read() {
    let all = docs(300, 40, 100);
    let own = set_of(&all, 100);
    let rows = |config: &Config| {
        let data = Arc::new(Data::open(config).unwrap());
        Sampler::new(data, 5, Position::default()).next(50).unwrap()
    };
    let expected = rows(&config(own.path()));
    for width in [Width::Two, Width::Four] {
        let dir = tempfile::tempdir().unwrap();
        shards(dir.path(), &all, 100, width);
        let foreign = Config { vocab_size: Some(100), ..config(dir.path()) };
        assert!(rows(&foreign) == expected, "Megatron's");
        for ending in ["idx", "bin"] {
            for path in crate::io::list(dir.path(), ending).unwrap() {
                std::fs::remove_file(path).unwrap();
            }
        }
        assert!(rows(&foreign) == expected, "datatrove's");
        let unknown = Config { vocab_size: None, ..foreign.clone() };
        assert!(Data::open(&unknown).unwrap_err().to_string().contains("give it"));
        let one = dir.path().join("x_00001.ds");
        assert!(Data::open(&Config { data: Sets::One(one.display().to_string()), ..foreign }).is_ok());
    }
}

#[test]
fn bad_shards_are_named() {
    let all = docs(300, 40, 100);
    let message = |config: &Config| Data::open(config).unwrap_err().to_string();
    let absent = config(Path::new("/nowhere"));
    assert!(message(&absent).contains("there are no token shards at `/nowhere`"));

    let short = set_of(&all, 100);
    let path = short.path().join("x_00001.bin");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 2]).unwrap();
    assert!(
        message(&config(short.path())).contains("its manifest says"),
        "{}",
        message(&config(short.path()))
    );
    std::fs::write(&path, &bytes).unwrap();
    let index = short.path().join("x_00001.idx");
    let kept = std::fs::read(&index).unwrap();
    std::fs::write(&index, &kept[..kept.len() / 2]).unwrap();
    assert!(message(&config(short.path())).contains("cut short"));
    std::fs::write(&index, b"something else, and long enough").unwrap();
    assert!(message(&config(short.path())).contains("no Megatron index"));

    let (one, two) = (set_of(&all, 100), set_of(&all, 100));
    let infos = shards(two.path(), &all, 100, Width::Two);
    manifest(two.path(), &infos, 100, "another");
    let path = |dir: &tempfile::TempDir| Entry::Path(dir.path().display().to_string());
    let both = Config { data: Sets::Many(vec![path(&one), path(&two)]), ..config(one.path()) };
    assert!(message(&both).contains("another tokenizer"));
    manifest(two.path(), &infos, 70_000, "same");
    assert!(message(&config(two.path())).contains("do not fit its type"));
    // Ids beyond the vocabulary show when they are drawn.
    manifest(two.path(), &infos, 50, "same");
    let run = tempfile::tempdir().unwrap();
    let error =
        train(&config(two.path()), run.path(), &AtomicBool::new(false), &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("the vocabulary ends at 49"), "{error}");
    assert!(
        message(&Config { context: 60_000, batch_tokens: 60_000, ..config(one.path()) })
            .contains("lower `context`")
    );
}

#[test]
fn a_loss_that_is_no_number_ends_the_run_and_nothing_is_lost() {
    let dir = set_of(&docs(400, 40, 100), 100);
    let config = Config { learning_rate: 1e30, warmup_steps: Some(0), clip_norm: 1e30, ..config(dir.path()) };
    let run = tempfile::tempdir().unwrap();
    let error = train(&config, run.path(), &AtomicBool::new(false), &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("lower `learning_rate`"), "{error}");
}

#[test]
fn mistakes_are_named() {
    let dir = set_of(&docs(10, 40, 100), 100);
    let good = config(dir.path());
    assert_eq!(good.mistakes(), []);
    for (wrong, key) in [
        (Config { data: Sets::Many(Vec::new()), ..good.clone() }, "data"),
        (Config { name: "a b".to_owned(), ..good.clone() }, "name"),
        (Config { learning_rate: 0.0, ..good.clone() }, "learning_rate"),
        (Config { batch_tokens: 15, ..good.clone() }, "batch_tokens"),
        (Config { batch_ramp: Some(BatchRamp { from_tokens: 4, steps: 1 }), ..good.clone() }, "batch_ramp"),
        (Config { clip_norm: f64::NAN, ..good.clone() }, "clip_norm"),
    ] {
        assert_eq!(wrong.mistakes().iter().map(|(key, _)| *key).collect::<Vec<_>>(), [key]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn documents_of_any_lengths_are_packed(
        lengths in prop::collection::vec(0_u32..60, 2..900),
        held_out_ratio in 0.0..0.5,
        seed in any::<u64>(),
    ) {
        let all: Vec<Vec<u32>> = (0..)
            .zip(&lengths)
            .map(|(doc, &length)| (0..length).map(|at| 1 + (doc * 13 + at) % 99).chain([0]).collect())
            .collect();
        let dir = set_of(&all, 100);
        let config = Config { held_out_ratio, ..config(dir.path()) };
        let Ok(data) = Data::open(&config) else { return Ok(()) };
        let data = Arc::new(data);
        let sequences = usize::try_from((data.tokens() - 1) / 16).unwrap();
        let mut sampler = Sampler::new(Arc::clone(&data), seed, Position::default());
        let rows = sampler.next(sequences).unwrap();
        prop_assert_eq!(rows.rows, sequences);
        // As many of each id as the documents that are not held out have, less the last ones that fill no sequence.
        let held: usize = data.held_out(u64::MAX).unwrap().iter().map(|rows| rows.inputs.len()).sum();
        prop_assert!(held as u64 <= data.held_out_tokens());
        let ends = rows.inputs.iter().filter(|&&id| id == 0).count();
        prop_assert!(ends <= all.len());
    }
}
