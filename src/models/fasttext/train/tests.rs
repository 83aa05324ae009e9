use super::*;
use crate::models::fasttext::FastText;

/// Invented texts: two trades with some words of their own and many in common.
fn texts() -> Vec<(usize, String)> {
    let own: [&[&str]; 2] =
        [&["kiln", "glaze", "clay", "potter", "töpfern"], &["hull", "sail", "rudder", "harbour", "парус"]];
    let common = ["the", "old", "hand", "and", "of", "a", "work", "in", "day", "new", "long", "two"];
    let mut state = 12345_u64;
    let mut pick = |from: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % from
    };
    (0..400)
        .map(|number| {
            let label = usize::from(number % 3 == 0);
            let words: Vec<&str> = (0..20)
                .map(|_| {
                    if pick(6) == 0 { own[label][pick(own[label].len())] } else { common[pick(common.len())] }
                })
                .collect();
            (label, words.join(if number % 2 == 0 { " " } else { "\n" }))
        })
        .collect()
}

fn settings() -> Settings {
    Settings {
        dim: 40,
        epoch: 10,
        lr: 0.3,
        word_ngrams: 2,
        minn: 2,
        maxn: 3,
        bucket: 500,
        seed: 3,
        ..Settings::default()
    }
}

fn names() -> Vec<String> {
    vec!["pottery".to_owned(), "sailing".to_owned()]
}

fn train(settings: &Settings, threads: usize) -> Vec<u8> {
    let mut trainer = Trainer::new(settings, &names(), 1 << 30).unwrap();
    for (label, text) in texts() {
        trainer.add(label, &text).unwrap();
    }
    let trained = trainer.train(threads, &|_| {}).unwrap();
    let mut bytes = Vec::new();
    trained.write(&mut bytes).unwrap();
    bytes
}

fn error(settings: &Settings, labels: &[&str]) -> String {
    let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
    Trainer::new(settings, &labels, 1 << 30).err().expect("a mistake").to_string()
}

#[test]
fn a_trained_model_tells_what_it_learnt() {
    for settings in [settings(), Settings { word_ngrams: 1, minn: 0, maxn: 0, ..settings() }] {
        let model = FastText::from_bytes(&train(&settings, 1)).unwrap();
        assert_eq!(model.labels(), ["__label__pottery", "__label__sailing"]);
        let right =
            texts().iter().filter(|(label, text)| model.predict(text, 1, 0.0)[0].label == *label).count();
        assert!(right >= 392, "{right} of 400");
        assert!(model.predict("kiln and clay", 1, 0.9)[0].label == 0);
        assert!(model.predict("a new rudder, парус", 1, 0.9)[0].label == 1);
    }
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let one = train(&settings(), 1);
    // 40 columns are three blocks, so more threads than three are three.
    for threads in [2, 3, 9] {
        assert!(train(&settings(), threads) == one, "{threads} threads");
    }
    assert!(train(&Settings { seed: 4, ..settings() }, 1) != one);
}

#[test]
fn rows_are_those_of_prediction() {
    // After no learning to speak of, the model is its first weights: every row that prediction reads must have
    // been counted in training, or a label's vector would not move along the same mean.
    let tiny = Settings { lr: 1e-30, epoch: 1, ..settings() };
    let model = FastText::from_bytes(&train(&tiny, 1)).unwrap();
    let mut trainer = Trainer::new(&tiny, &names(), 1 << 30).unwrap();
    let (_, text) = &texts()[0];
    trainer.add(0, text).unwrap();
    trainer.add(1, "__label__sailing rare </s> unseen").unwrap();
    let words = trainer.examples.vocabulary(1).len();
    let examples = trainer.examples;
    assert_eq!(examples.tokens(), 21 + 2);
    let args = Args {
        dim: 40,
        word_ngrams: 2,
        loss: Loss::Softmax,
        model: ModelKind::Supervised,
        bucket: 500,
        minn: 2,
        maxn: 3,
    };
    let vocabulary = examples.vocabulary(1);
    let dictionary = Dictionary::new(
        vocabulary.iter().map(|&(word, _)| examples.word(word)),
        [("__label__a", 1), ("__label__b", 1)].into_iter(),
        &args,
    );
    let counted = examples.with_rows(&dictionary, &[0, 1], words).for_each(0, |_, _| {});
    let mut cache = crate::models::fasttext::cache::Cache::new(40);
    let mut sum = crate::models::fasttext::Sum {
        hidden: vec![0.0; 40],
        rows: 0,
        window: crate::models::fasttext::Window::new(2),
    };
    model.add_tokens(text.as_bytes(), &mut sum, &mut cache);
    model.add_token(b"</s>", &mut sum, &mut cache);
    assert_eq!(sum.rows, counted);
}

#[test]
fn mistakes_are_named() {
    let with = |change: fn(&mut Settings)| {
        let mut settings = settings();
        change(&mut settings);
        error(&settings, &["a", "b"])
    };
    assert_eq!(with(|s| s.dim = 0), "`dim` must be from 1 to 4096");
    assert_eq!(with(|s| s.epoch = 0), "`epoch` must be at least 1");
    assert_eq!(with(|s| s.lr = f64::NAN), "`lr` must be above 0");
    assert_eq!(with(|s| s.minn = 4), "`minn` must be from 1 to `maxn`, or 0 where `maxn` is 0");
    assert_eq!(with(|s| s.bucket = 0), "`bucket` must be from 1 to 1073741824");
    assert_eq!(
        error(&settings(), &["a", "a"]),
        "`a` cannot be a label: it must be new, and without white space"
    );
    assert_eq!(
        error(&settings(), &["a", "b c"]),
        "`b c` cannot be a label: it must be new, and without white space"
    );
    assert_eq!(error(&settings(), &["a"]), "a classifier needs two labels or more");
}

#[test]
fn what_cannot_be_trained_is_said() {
    let mut trainer = Trainer::new(&settings(), &names(), 1 << 30).unwrap();
    trainer.add(0, "a text").unwrap();
    trainer.add(1, " \n\t ").unwrap();
    assert_eq!(trainer.documents(), [1, 0]);
    assert_eq!(trainer.train(1, &|_| {}).err(), Some(TrainError::EmptyLabel("sailing".to_owned())));

    let mut trainer = Trainer::new(&settings(), &names(), 1 << 16).unwrap();
    let many = (0..10_000).map(|number| format!("w{number}")).collect::<Vec<_>>().join(" ");
    assert_eq!(trainer.add(0, &many), Err(TrainError::Memory(1 << 16)));

    let mut trainer = Trainer::new(&Settings { bucket: 1 << 30, ..settings() }, &names(), 1 << 30).unwrap();
    trainer.add(0, "one").unwrap();
    trainer.add(1, "two").unwrap();
    assert_eq!(trainer.train(1, &|_| {}).err(), Some(TrainError::Memory(1 << 30)));

    let mut trainer = Trainer::new(&Settings { lr: 1e30, ..settings() }, &names(), 1 << 30).unwrap();
    for (label, text) in texts() {
        trainer.add(label, &text).unwrap();
    }
    assert_eq!(trainer.train(2, &|_| {}).err(), Some(TrainError::Diverged));
}
