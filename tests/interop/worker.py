"""The worker alone, on a task as the daemon writes it."""
import json, os, subprocess


def run_worker(path, **task):
    """Writes the task to the path and runs it."""
    with open(path, "w") as file:
        json.dump(dict(job_id="ftjob-1", fine_tuned_model="ft:x", threads=1, **task), file)
    worker = os.path.join(os.environ.get("BUILD_DIR", "build"), "reflect-worker")
    return subprocess.run([worker, path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)


def train(folder, name, **task):
    """A run of training whose output is folder/name: the adapter's folder, and the loss of each step."""
    output = os.path.join(folder, name)
    os.makedirs(output)
    done = run_worker(output + ".json", kind="train", output_dir=output, **task)
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    with open(os.path.join(output, "step_metrics.csv")) as file:
        names, *rows = file.read().strip().split("\n")
    return os.path.join(output, "adapter"), [float(dict(zip(names.split(","), row.split(",")))["train_loss"]) for row in rows]
