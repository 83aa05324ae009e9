//! The trainer as a whole: by hand on six lines, against the formulas with dictionaries, and whether memory and
//! threads show.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::emit::{Batch, Names};
use super::*;
use crate::models::ngram::arpa_writer::ArpaWriter;
use crate::models::ngram::probing_writer::ProbingWriter;

/// Per order the n-grams with log10 probability and backoff weight.
type Model = Vec<BTreeMap<Vec<String>, (f64, f64)>>;

/// Keeps what it is given.
#[derive(Default)]
struct Collected {
    model: Model,
    counts: Vec<u64>,
}

impl Sink for Collected {
    fn begin(&mut self, counts: &[u64], _: &Names<'_>) -> Result<()> {
        self.counts = counts.to_vec();
        self.model = vec![BTreeMap::new(); counts.len()];
        Ok(())
    }

    fn entries(&mut self, batch: &Batch<'_>, names: &Names<'_>) -> Result<()> {
        for (place, gram) in batch.words.chunks(batch.order).enumerate() {
            let gram =
                gram.iter().map(|&word| String::from_utf8_lossy(names.word(word)).into_owned()).collect();
            let backoff = batch.backoffs.get(place).map_or(0.0, |&backoff| f64::from(backoff));
            let prob = -f64::from(batch.probs[place].abs());
            assert!(self.model[batch.order - 1].insert(gram, (prob, backoff)).is_none());
        }
        Ok(())
    }

    fn finish(&mut self, _: &Names<'_>) -> Result<()> {
        assert!(self.model.iter().map(|grams| grams.len() as u64).eq(self.counts.iter().copied()));
        Ok(())
    }
}

fn train_files(text: &str, config: &TrainConfig, dir: &Path) -> Result<(Vec<u8>, Vec<u8>, Summary)> {
    let (arpa, binary) = (dir.join("m.arpa"), dir.join("m.bin"));
    let mut trainer = Trainer::new(config.clone())?;
    for line in text.lines() {
        trainer.add_sentence(split(line.as_bytes()))?;
    }
    let mut arpa_writer = ArpaWriter::create(&arpa)?;
    let mut binary_writer = ProbingWriter::create(&binary, Scratch::new(dir)?)?;
    let summary = trainer.finish(&mut [&mut arpa_writer, &mut binary_writer])?;
    let binary = std::fs::read(binary).unwrap();
    Ok((std::fs::read(arpa).unwrap(), binary, summary))
}

fn train(text: &str, change: impl FnOnce(&mut TrainConfig)) -> Result<(Model, Summary)> {
    let dir = tempfile::tempdir().unwrap();
    let mut config = TrainConfig::new(3, dir.path().join("temp"));
    change(&mut config);
    let mut trainer = Trainer::new(config)?;
    for line in text.lines() {
        trainer.add_sentence(split(line.as_bytes()))?;
    }
    let mut collected = Collected::default();
    let summary = trainer.finish(&mut [&mut collected])?;
    Ok((collected.model, summary))
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// A text with rare and frequent words, and sentences that come again.
fn invented(sentences: u32, vocabulary: u32) -> String {
    let mut state = 99_u32;
    let mut next = |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % below
    };
    let mut text = String::new();
    for _ in 0..sentences {
        let mut word = next(vocabulary);
        for _ in 0..next(14) {
            text += "w";
            text += &word.to_string();
            text.push(' ');
            let (one, other) = (next(vocabulary), next(vocabulary));
            word = if next(3) == 0 {
                one.min(other).min(next(vocabulary))
            } else {
                (word * 7 + next(4)) % vocabulary
            };
        }
        text.push('\n');
    }
    text
}

/// `a b`, `a b`, `a c`, `b a c`, an empty sentence, order 2.
///
/// Bigrams: <s> a 3, <s> b 1, <s> </s> 1, a b 2, a c 2, b a 1, b </s> 2, c </s> 2. With raw counts (order 2 is
/// the highest) n1 = 3, n2 = 4, n3 = 1, n4 = 0: y = 3/11, D1 = 1 - 2 y 4/3 = 3/11, D2 = 2 - 3 y 1/4 = 79/44, D3 = 3.
/// Words by what stands before them: a {<s>, b} 2, b {<s>, a} 2, c {a} 1, </s> {<s>, b, c} 3; n1 = 1, n2 = 2,
/// n3 = 1: y = 1/5, D1 = 1 - 2/5 * 2 = 1/5, D2 = 2 - 3/5 * 1/2 = 17/10, D3 = 3. Sum 8, gamma = (1/5 + 2 * 17/10 + 3) / 8
/// = 33/40; five words with <unk>: each gets 33/200 more.
#[test]
#[expect(clippy::float_cmp, reason = "zero is exactly zero")]
fn six_lines_by_hand() {
    let text = "a b\na b\na c\nb a c\n\n";
    let (model, summary) = train(text, |config| config.order = 2).unwrap();
    assert_eq!((summary.sentences, summary.tokens, summary.words), (5, 9, 3));
    assert_eq!(summary.counts[0].n, [1, 2, 1, 0]);
    assert_eq!(summary.counts[1].n, [3, 4, 1, 0]);
    let close = |found: f64, expected: f64| {
        assert!((found - expected.log10()).abs() < 2e-7, "{found} is not log10 {expected}");
    };
    for (found, expected) in summary.discounts[1].d.iter().zip([3.0 / 11.0, 79.0 / 44.0, 3.0]) {
        assert!((found - expected).abs() < 1e-12);
    }
    let unk = 33.0 / 200.0;
    let unigrams = [("a", 0.3 / 8.0), ("b", 0.3 / 8.0), ("c", 0.8 / 8.0), ("</s>", 0.0), ("<unk>", 0.0)];
    for (word, own) in unigrams {
        close(model[0][&words(word)].0, own + unk);
    }
    assert_eq!(model[0][&words("<s>")].0, 0.0);
    // After `a`: b and c, twice each; gamma = 2 * 79/44 / 4 = 79/88, and (2 - 79/44) / 4 = 9/176 each.
    close(model[0][&words("a")].1, 79.0 / 88.0);
    close(model[1][&words("a b")].0, 9.0 / 176.0 + 79.0 / 88.0 * (0.3 / 8.0 + unk));
    // After `<s>`: a 3, b 1, </s> 1; gamma = (3 + 2 * 3/11) / 5 = 39/55.
    close(model[0][&words("<s>")].1, 39.0 / 55.0);
    close(model[1][&words("<s> a")].0, 39.0 / 55.0 * (0.3 / 8.0 + unk));
    close(model[1][&words("<s> </s>")].0, 8.0 / 55.0 + 39.0 / 55.0 * unk);
    assert_eq!(model[1].len(), 8);
    assert_eq!(model[0][&words("</s>")].1, 0.0);
}

/// The formulas with dictionaries: n-grams by counting each length alone, everything in the open.
fn by_dictionary(
    text: &str,
    order: usize,
    prune: &[u64],
    allowed: Option<&BTreeSet<String>>,
    fallback: [f64; 3],
) -> Model {
    let mut raw = vec![BTreeMap::<Vec<String>, u64>::new(); order + 1];
    for line in text.lines() {
        let tokens: Vec<String> =
            ["<s>"].into_iter().chain(line.split_whitespace()).chain(["</s>"]).map(str::to_owned).collect();
        for (n, raw) in raw.iter_mut().enumerate().skip(1) {
            for window in tokens.windows(n) {
                *raw.entry(window.to_vec()).or_default() += 1;
            }
        }
    }
    let class = |count: u64| if count < 3 { usize::try_from(count).unwrap() - 1 } else { 2 };
    let mut lower: Vec<BTreeMap<Vec<String>, f64>> = vec![BTreeMap::new(); order + 1];
    let mut model = vec![BTreeMap::new(); order];
    let mut backoffs: BTreeMap<Vec<String>, f64> = BTreeMap::new();
    let stays = |gram: &[String]| {
        gram.iter().all(|word| word.ends_with("s>") || allowed.is_none_or(|allowed| allowed.contains(word)))
    };
    for n in 1..=order {
        let mut adjusted: BTreeMap<&[String], u64> = BTreeMap::new();
        if n == order {
            adjusted.extend(raw[n].iter().map(|(gram, &count)| (gram.as_slice(), count)));
        } else {
            for gram in raw[n + 1].keys() {
                *adjusted.entry(&gram[1..]).or_default() += 1;
            }
            let begins = raw[n].iter().filter(|(gram, _)| gram[0] == "<s>");
            adjusted.extend(begins.map(|(gram, &count)| (gram.as_slice(), count)));
        }
        adjusted.remove(["<s>".to_owned()].as_slice());
        let mut counts = [0.0; 5];
        for &count in adjusted.values() {
            counts[usize::try_from(count.min(5)).unwrap() - 1] += 1.0;
        }
        let y = counts[0] / (counts[0] + 2.0 * counts[1]);
        let closed = |k: usize| k as f64 - (k + 1) as f64 * y * counts[k] / counts[k - 1];
        let discounts = [closed(1), closed(2), closed(3)];
        let fine = discounts.iter().enumerate().all(|(k, d)| (0.0..=(k + 1) as f64).contains(d));
        let discounts = if fine { discounts } else { fallback };
        let of = |count: u64| discounts[class(count)];
        let kept = |gram: &[String]| stays(gram) && (n == 1 || raw[n][gram] > prune[n - 1]);
        let (mut sums, mut freed) = (BTreeMap::<&[String], f64>::new(), BTreeMap::<&[String], f64>::new());
        for (&gram, &count) in &adjusted {
            let context = &gram[..n - 1];
            *sums.entry(context).or_default() += count as f64;
            *freed.entry(context).or_default() += if kept(gram) { of(count) } else { count as f64 };
        }
        let vocabulary = 1 + adjusted.keys().filter(|gram| kept(gram)).count();
        for (&gram, &count) in adjusted.iter().filter(|(gram, _)| kept(gram)) {
            let context = &gram[..n - 1];
            let below = if n == 1 { 1.0 / vocabulary as f64 } else { lower[n - 1][&gram[1..]] };
            let p = (count as f64 - of(count)) / sums[context] + freed[context] / sums[context] * below;
            lower[n].insert(gram.to_vec(), p);
        }
        if n == 1 {
            let gamma = freed[[].as_slice()] / sums[[].as_slice()];
            lower[1].insert(vec!["<unk>".to_owned()], gamma / vocabulary as f64);
            lower[1].insert(vec!["<s>".to_owned()], 1.0);
        }
        backoffs.extend(sums.iter().map(|(context, sum)| (context.to_vec(), freed[context] / sum)));
    }
    for n in 1..=order {
        for (gram, p) in &lower[n] {
            let backoff = if n == order { 1.0 } else { backoffs.get(gram).copied().unwrap_or(1.0) };
            model[n - 1].insert(gram.clone(), (p.log10(), backoff.log10()));
        }
    }
    model
}

fn assert_equal(found: &Model, expected: &Model) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.keys().eq(expected.keys()));
        for (gram, (found, expected)) in found.keys().zip(found.values().zip(expected.values())) {
            // Log10 of zero is written as -99; a discount may be 0.
            let expected = (expected.0.max(-99.0), expected.1.max(-99.0));
            let far = (found.0 - expected.0).abs().max((found.1 - expected.1).abs());
            assert!(far < 1e-6, "{gram:?}: {found:?} is not {expected:?}");
        }
    }
}

#[test]
fn all_orders_and_options_against_dictionaries() {
    let text = invented(1200, 200);
    let fallback = [0.5, 1.0, 1.5];
    for order in 1..=MAX_ORDER {
        let (found, _) = train(&text, |config| {
            config.order = order;
            config.discount_fallback = Some(fallback);
        })
        .unwrap();
        assert_equal(&found, &by_dictionary(&text, order, &[0; MAX_ORDER], None, fallback));
    }
    let allowed: BTreeSet<String> = (0..200).filter(|n| n % 3 != 0).map(|n| format!("w{n}")).collect();
    for (prune, allowed) in
        [([0, 0, 1, 2], None), ([0, 3, 3, 3], None), ([0; 4], Some(&allowed)), ([0, 1, 1, 5], Some(&allowed))]
    {
        let (found, summary) = train(&text, |config| {
            config.order = 4;
            (config.prune, config.discount_fallback) = (prune.to_vec(), Some(fallback));
            if let Some(allowed) = allowed {
                let list = allowed.iter().map(|word| word.clone().into_bytes()).chain([b"absent".to_vec()]);
                config.vocabulary = Vocabulary::Only(list.collect());
            }
        })
        .unwrap();
        assert!(summary.counts[3].kept < summary.counts[3].all);
        assert_equal(&found, &by_dictionary(&text, 4, &prune, allowed, fallback));
    }
}

#[test]
fn the_most_frequent_words_stay() {
    let text = "b a a c\na c b d\n";
    let (model, _) = train(text, |config| {
        config.vocabulary = Vocabulary::Most(2);
        config.discount_fallback = Some([0.5, 1.0, 1.5]);
    })
    .unwrap();
    // `b` and `c` come twice; `b` came first.
    let expected: Vec<Vec<String>> = ["</s>", "<s>", "<unk>", "a", "b"].into_iter().map(words).collect();
    assert!(model[0].keys().eq(expected.iter()));
    assert!(model[1].contains_key(&words("b a")) && !model[1].contains_key(&words("a c")));
}

/// Log10 probability of a word after a context, with backoff.
fn score(model: &Model, context: &[String], word: &str) -> f64 {
    let gram: Vec<String> = context.iter().cloned().chain([word.to_owned()]).collect();
    if let Some((p, _)) = model.get(context.len()).and_then(|grams| grams.get(&gram)) {
        return *p;
    }
    let backoff = model[context.len() - 1].get(context).map_or(0.0, |(_, backoff)| *backoff);
    backoff + score(model, &context[1..], word)
}

#[test]
fn probabilities_after_every_context_add_up_to_one() {
    let text = invented(900, 60);
    for (order, prune) in [(2, vec![]), (4, vec![]), (3, vec![0, 0, 1]), (3, vec![0, 2])] {
        let (model, _) = train(&text, |config| {
            config.order = order;
            config.prune = prune;
            config.discount_fallback = Some([0.5, 1.0, 1.5]);
        })
        .unwrap();
        let vocabulary: Vec<&String> =
            model[0].keys().map(|gram| &gram[0]).filter(|word| *word != "<s>").collect();
        let contexts = model[..order - 1].iter().flat_map(BTreeMap::keys);
        for context in
            contexts.filter(|gram| gram.last().is_some_and(|word| word != "</s>")).chain([&Vec::new()])
        {
            let sum: f64 = vocabulary.iter().map(|word| 10_f64.powf(score(&model, context, word))).sum();
            assert!((sum - 1.0).abs() < 3e-5, "{context:?}: {sum}");
        }
    }
}

#[test]
fn memory_and_threads_change_no_byte() {
    let dir = tempfile::tempdir().unwrap();
    let text = invented(60_000, 5000);
    let run = |memory_bytes, threads, prune: &[u64]| {
        let mut config = TrainConfig::new(4, dir.path());
        (config.memory_bytes, config.prune) = (memory_bytes, prune.to_vec());
        config.discount_fallback = Some([0.5, 1.0, 1.5]);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| train_files(&text, &config, dir.path())).unwrap()
    };
    for prune in [&[][..], &[0, 0, 1]] {
        let (arpa, binary, summary) = run(1 << 30, 1, prune);
        assert_eq!(summary.blocks, 0);
        for (memory_bytes, threads) in [(0, 1), (0, 3), (1 << 30, 4)] {
            let (other_arpa, other_binary, summary) = run(memory_bytes, threads, prune);
            assert_eq!(summary.blocks > 3, memory_bytes == 0);
            assert!(arpa == other_arpa && binary == other_binary, "{memory_bytes} bytes, {threads} threads");
        }
    }
    let left: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn mistakes_are_said() {
    type Change = fn(&mut TrainConfig);
    let cases: [(&str, Change, &str); 13] = [
        ("", |_| {}, "no words"),
        ("\n\n", |_| {}, "no words"),
        ("a b", |config| config.order = 0, "the order is 0; it can be 1 to 7"),
        ("a b", |config| config.order = 8, "the order is 8"),
        ("a b", |config| config.prune = vec![1], "must be 0"),
        ("a b", |config| config.prune = vec![0, 2, 1], "none may be below"),
        ("a b", |config| config.prune = vec![0; 4], "each of 3 orders"),
        ("a b", |config| config.discount_fallback = Some([0.0, 1.0, 1.0]), "above 0"),
        ("a b", |config| config.discount_fallback = Some([0.5, 2.5, 1.0]), "at most 1, 2 and 3"),
        ("a b", |_| {}, "the discounts of order 1 cannot be estimated: no n-gram has an adjusted count of 2"),
        ("a b\nc <s> d", |_| {}, "sentence 2 of the text has `<s>` in it"),
        ("a <unk>", |_| {}, "--skip-symbols"),
        ("a b", |config| config.vocabulary = Vocabulary::Only(vec![b"c".to_vec()]), "holds no word"),
    ];
    for (text, change, expected) in cases {
        let error = train(text, change).unwrap_err();
        assert!(matches!(error, Error::User(_)) && error.to_string().contains(expected), "{error}");
    }
    let (_, summary) = train("a b <unk> c\n</s> a", |config| {
        config.reserved = Reserved::Skip;
        config.discount_fallback = Some([0.5, 1.0, 1.5]);
    })
    .unwrap();
    assert_eq!((summary.tokens, summary.skipped), (4, 2));
    assert!(summary.discounts.iter().all(|discounts| discounts.fallback));
    let mut trainer = Trainer::new(TrainConfig::new(2, tempfile::tempdir().unwrap().path())).unwrap();
    for token in ["", "a b", "a\tb", "a\0"] {
        assert!(trainer.id(token.as_bytes()).is_err(), "{token:?}");
    }
    assert!(trainer.add_ids(&[2]).is_err() && trainer.add_ids(&[1 << 20]).is_err());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(40))]

    #[test]
    fn any_text_is_as_in_dictionaries(lines in proptest::collection::vec("[abcd ]{0,12}", 1..30), order in 1..6_usize) {
        let text = lines.join("\n") + "\nd c b a\n";
        let fallback = [0.5, 1.0, 1.5];
        let (found, _) = train(&text, |config| {
            config.order = order;
            config.discount_fallback = Some(fallback);
        }).unwrap();
        assert_equal(&found, &by_dictionary(&text, order, &[0; 5], None, fallback));
    }
}
