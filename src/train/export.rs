//! A trained model as a folder that Hugging Face's `transformers` loads, and back.

use std::path::Path;

use serde_json::{Value, json};

use super::checkpoint::read_weights;
use super::data::Vocabulary;
use super::judge::TokenBytes;
use super::model::{Model, Shape};
use super::safetensors::{self, Named, Tensors};
use crate::error::{Error, Result};
use crate::io;
use crate::tokens::encoder::Encoder;

/// Writes `config.json`, `generation_config.json`, `model.safetensors` and, where the tokenizer is known, `tokenizer.json` with
/// `tokenizer_config.json`.
///
/// # Errors
/// [`Error::Io`] where they cannot be written.
pub fn write(dir: &Path, model: &Model, vocabulary: &Vocabulary) -> Result<()> {
    let shape = model.shape();
    let eos = vocabulary.eos;
    let config = json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocab,
        "hidden_size": shape.dim,
        "intermediate_size": shape.ffn,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head(),
        "max_position_embeddings": shape.context,
        "rope_theta": shape.rope_theta,
        "rms_norm_eps": shape.norm_eps,
        "hidden_act": "silu",
        "attention_bias": false,
        "mlp_bias": false,
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "tie_word_embeddings": shape.tied,
        "torch_dtype": "float32",
        "bos_token_id": eos,
        "eos_token_id": eos,
    });
    let tensors: Vec<Named> = model
        .tensors()
        .iter()
        .map(|tensor| (tensor.name.as_str(), tensor.dims.as_slice(), &model.parameters()[tensor.range()]))
        .collect();
    safetensors::write(&dir.join("model.safetensors"), &tensors)?;
    if let Some(file) = &vocabulary.tokenizer
        && io::exists(file)?
    {
        let mut copy = io::AtomicFile::create(dir.join("tokenizer.json"))?;
        copy.write(&io::read_side_file(file)?)?;
        copy.commit()?;
        let tokenizer = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": vocabulary.eos_token,
            "bos_token": vocabulary.eos_token,
            "model_max_length": shape.context,
        });
        io::write_json(dir.join("tokenizer_config.json"), &tokenizer)?;
    }
    let generation = json!({ "bos_token_id": eos, "eos_token_id": eos, "do_sample": true, "temperature": 0.8, "top_k": 50 });
    io::write_json(dir.join("generation_config.json"), &generation)?;
    io::write_json(dir.join("config.json"), &config)
}

/// Reads a folder that [`write`] wrote, or another Llama of 32-bit floats without biases.
///
/// # Errors
/// [`Error::User`] where there is no model, [`Error::Damaged`] where it is another kind, or cut short.
pub fn read(dir: &Path) -> Result<Model> {
    let path = dir.join("config.json");
    if !io::exists(&path)? {
        return Err(Error::User(format!("`{}` has no model: there is no config.json", dir.display())));
    }
    let config: Value = io::read_json(&path)?;
    let damaged = |what: String| Error::damaged(&path, what);
    if config["model_type"] != "llama" {
        return Err(damaged(format!("`model_type` is {}; `llama` can be read", config["model_type"])));
    }
    let number = |name: &str| {
        let number = config[name].as_u64().and_then(|number| usize::try_from(number).ok());
        number.ok_or_else(|| damaged(format!("`{name}` is missing or no number")))
    };
    #[expect(clippy::cast_possible_truncation, reason = "written from a 32-bit float")]
    let float = |name: &str| config[name].as_f64().map(|value| value as f32);
    let heads = number("num_attention_heads")?;
    let shape = Shape {
        vocab: number("vocab_size")?,
        layers: number("num_hidden_layers")?,
        dim: number("hidden_size")?,
        heads,
        kv_heads: number("num_key_value_heads").unwrap_or(heads),
        ffn: number("intermediate_size")?,
        context: number("max_position_embeddings")?,
        rope_theta: float("rope_theta").ok_or_else(|| damaged("`rope_theta` is missing".to_owned()))?,
        norm_eps: float("rms_norm_eps").ok_or_else(|| damaged("`rms_norm_eps` is missing".to_owned()))?,
        tied: config["tie_word_embeddings"] == true,
    };
    shape.check().map_err(damaged)?;
    let mut model = Model::new(shape, 0);
    read_weights(&Tensors::open(&dir.join("model.safetensors"))?, &mut model)?;
    Ok(model)
}

/// A model with what turns text into its tokens.
pub struct Opened {
    /// The model.
    pub model: Model,
    /// Its tokenizer.
    pub encoder: Encoder,
    /// Bytes of its tokens.
    pub bytes: TokenBytes,
}

/// Opens an exported model with its tokenizer; `dir` may be the run directory above it.
///
/// # Errors
/// As [`read`]; [`Error::User`] where there is no tokenizer.
pub fn open(dir: &Path) -> Result<Opened> {
    let inner = dir.join("model");
    let is_model = |dir: &Path| io::exists(dir.join("config.json"));
    let dir = if is_model(dir)? && !is_model(&inner)? { dir } else { &inner };
    let path = dir.join("tokenizer.json");
    let model = read(dir)?;
    if !io::exists(&path)? {
        return Err(Error::User(format!(
            "`{}` has no tokenizer.json: the shards that it was trained on did not name one; copy it there, with a tokenizer_config.json \
             that has `eos_token`",
            dir.display()
        )));
    }
    let options: Value = io::read_json(dir.join("tokenizer_config.json"))?;
    let eos = options["eos_token"].as_str().unwrap_or("<|endoftext|>");
    let encoder = Encoder::from_json(&io::read_side_file(&path)?, eos)?;
    if encoder.vocab_size as usize > model.shape().vocab {
        return Err(Error::damaged(
            &path,
            format!("it has {} tokens, the model {}", encoder.vocab_size, model.shape().vocab),
        ));
    }
    Ok(Opened { model, encoder, bytes: TokenBytes::read(&path)? })
}
