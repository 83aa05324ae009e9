//! The trainer on GPUs through the program: on the emulator of `tests/emulator`, so that no GPU is needed.

use std::path::Path;
use std::process::{Command, Output};

use tamis::train::config::{Model, Size};
use tamis::train::gpu::{Trouble, kernels};

use super::emulator;
use super::support::{root, stderr, stdout};
use super::train::shards;

/// Training with the emulated libraries in `libraries`.
fn train(libraries: &Path, dir: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tamis"));
    command.current_dir(root()).env("LD_LIBRARY_PATH", libraries);
    command.args(["train", "pipelines/train-quickstart.yaml", "--run-dir"]).arg(dir);
    for set in [&format!("data={}", shards().display()), "tokens=3072", "context=64", "batch_tokens=256"] {
        command.args(["--set", set]);
    }
    command.args([
        "--set",
        "model={ layers: 2, dim: 32, heads: 2, kv_heads: 1 }",
        "--set",
        "checkpoint_steps=4",
    ]);
    command.args(["--set", "eval_steps=12", "--set", "eval_tokens=256", "--set", "warmup_steps=2"]);
    command.args(["--set", "device=cuda", "--set", "micro_batch_tokens=128"]).args(more);
    command
}

fn succeeded(command: &mut Command) -> Output {
    let output = command.output().expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    output
}

fn outcome(dir: &Path) -> serde_json::Value {
    let outcome = std::fs::read(dir.join("train.json")).expect("an outcome");
    serde_json::from_slice(&outcome).expect("JSON")
}

#[test]
fn training_on_a_gpu_goes_as_on_the_cpu_and_goes_on_after_a_stop() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let libraries = folder.path().join("libraries");
    std::fs::create_dir(&libraries).expect("folder is writable");
    if !emulator::build(&libraries) {
        println!("skipped: there is no C compiler for the emulator");
        return;
    }
    let dir = |name: &str| folder.path().join(name);
    let [whole, stopped, cpu, two] = ["whole", "stopped", "cpu", "two"].map(dir);
    let output = succeeded(&mut train(&libraries, &whole, &[]));
    assert!(stderr(&output).contains("emulated GPU"), "{}", stderr(&output));
    assert_eq!(outcome(&whole)["summary"]["device"], "emulated GPU");

    // The same choice of algorithms: here they are timed anew in each run directory, and differ in the last digits.
    std::fs::create_dir(&stopped).expect("folder is writable");
    std::fs::copy(whole.join("gpu.json"), stopped.join("gpu.json")).expect("there are choices");
    succeeded(&mut train(&libraries, &stopped, &[]));
    let checkpoints = stopped.join("checkpoints");
    for ending in ["json", "safetensors"] {
        std::fs::remove_file(checkpoints.join(format!("{:010}.{ending}", 12))).expect("a checkpoint");
    }
    // As after a kill behind step 8.
    std::fs::remove_file(stopped.join("train.json")).expect("an outcome");
    succeeded(&mut train(&libraries, &stopped, &[]));
    let weights = |dir: &Path| std::fs::read(dir.join("model/model.safetensors")).expect("a model");
    assert!(weights(&whole) == weights(&stopped), "stopped and resumed is uninterrupted");

    let held_out = |dir: &Path| outcome(dir)["held_out"][1]["loss"].as_f64().expect("a loss");
    succeeded(&mut train(&libraries, &cpu, &["--set", "device=cpu"]));
    succeeded(&mut train(&libraries, &two, &["--set", "gpus=2", "--set", "recompute=true"]));
    for dir in [&whole, &two] {
        assert!(
            (held_out(dir) - held_out(&cpu)).abs() < 0.01 * held_out(&cpu),
            "{} {}",
            held_out(dir),
            held_out(&cpu)
        );
    }
    let texts = dir("texts.jsonl");
    std::fs::write(&texts, "{\"text\": \"The soil in the lower garden is heavy.\"}\n")
        .expect("folder is writable");
    let judged = |device: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tamis"));
        command.env("LD_LIBRARY_PATH", &libraries).arg("evaluate").arg(&whole).arg("--text").arg(&texts);
        let told = stdout(&succeeded(command.args(["--device", device, "--log-format", "json"])));
        let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
        told["text"]["loss"].as_f64().expect("a loss")
    };
    assert!((judged("auto") - judged("cpu")).abs() < 0.02 * judged("cpu"));
    assert!(judged("auto").to_bits() != judged("cpu").to_bits(), "another device did it");
}

#[test]
fn what_a_gpu_lacks_is_said() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = folder.path().join("run");
    let refused = |command: &mut Command| {
        let output = command.output().expect("the program starts");
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        stderr(&output)
    };
    let libraries = folder.path().join("libraries");
    std::fs::create_dir(&libraries).expect("folder is writable");
    if emulator::build(&libraries) {
        let message = refused(train(&libraries, &dir, &[]).env("TAMIS_EMULATED_MEMORY", "34000000"));
        assert!(
            message.contains("no room for") && message.contains("lower `micro_batch_tokens`"),
            "{message}"
        );
        // What was refused leaves nothing that stands in the way.
        let message = refused(&mut train(&libraries, &dir, &["--set", "gpus=9"]));
        assert!(message.contains("9 GPUs are wanted"), "{message}");
        let odd = ["--set", "model={ layers: 1, dim: 40, heads: 2 }"];
        let message = refused(&mut train(&libraries, &folder.path().join("odd"), &odd));
        assert!(message.contains("a multiple of 16"), "{message}");
        for library in ["nvrtc", "cublasLt"] {
            let path = libraries.join(format!("lib{library}.so"));
            let away = libraries.join("away");
            std::fs::rename(&path, &away).expect("moved");
            let message = refused(&mut train(&libraries, &dir, &[]));
            assert!(
                message.contains(&format!("lib{library}")) && message.contains("LD_LIBRARY_PATH"),
                "{message}"
            );
            std::fs::rename(&away, &path).expect("moved");
        }
    }
    // Without a driver (a machine that has one trains here instead).
    let output = train(folder.path(), &dir, &[]).output().expect("the program starts");
    if output.status.code() != Some(0) {
        assert!(stderr(&output).contains("no CUDA driver (libcuda) is installed"), "{}", stderr(&output));
        let output =
            succeeded(&mut train(folder.path(), &folder.path().join("auto"), &["--set", "device=auto"]));
        assert!(stderr(&output).contains("CPU (no CUDA driver"), "{}", stderr(&output));
    }
}

/// Needs NVRTC (`pip install nvidia-cuda-nvrtc`, its folder in `LD_LIBRARY_PATH`), but no GPU.
#[test]
fn kernels_compile_for_every_architecture() {
    for capability in [(8, 0), (9, 0), (10, 0)] {
        for size in [Size::M10, Size::M30, Size::M124, Size::M350, Size::B1] {
            let shape = Model::Named(size).shape(50_257, 1024);
            let log = match kernels::compile(&shape, capability) {
                Ok((image, log)) => {
                    assert!(image.starts_with(b"\x7fELF"), "machine code");
                    log
                }
                Err(Trouble::Missing(reason)) => {
                    println!("skipped: {reason}");
                    return;
                }
                Err(trouble) => panic!("{size:?} for {capability:?}: {trouble}"),
            };
            // Registers that go to memory are what makes such kernels slow.
            let spilled = log.lines().filter(|line| line.contains("spill stores"));
            let bytes =
                spilled.filter_map(|line| line.split(", ").nth(1)?.split(' ').next()?.parse::<u32>().ok());
            let most = bytes.max().expect("the compiler tells");
            let limit = if shape.head() > 64 { 128 } else { 16 };
            assert!(most <= limit, "{size:?} for {capability:?}: {most} bytes spilled\n{log}");
        }
    }
}
