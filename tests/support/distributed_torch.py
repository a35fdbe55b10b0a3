"""Trains the models of `distributed_model` in one and in two processes."""

import sys
from pathlib import Path

import torch
from torch import distributed, multiprocessing
from torch.nn.parallel import DistributedDataParallel

from support import distributed_model

SIZE = 2

#: Runs in two processes: the form, and whether each of them takes half of
#: the classes as anchors instead of all classes.
WAYS = {
    ("regularizer", "parallel"): ("regularizer", False),
    ("regularizer", "divided"): ("anchors", True),
    ("anchors", "parallel"): ("anchors", False),
}


def train(model, *, rank=0, size=1, divided=False):
    """Trains on a part of each batch; returns the record of the run."""
    network = model if size == 1 else DistributedDataParallel(model)
    optimizer = torch.optim.SGD(network.parameters(), distributed_model.RATE)
    compute_loss = distributed_model.cross_entropy()
    features, labels = (
        part_of(torch.from_numpy(array), rank, size)
        for array in distributed_model.make_data()
    )
    losses = []
    for _ in range(distributed_model.STEPS):
        optimizer.zero_grad()
        loss = compute_loss(labels, network(features)) + sum(model.losses)
        if isinstance(model, distributed_model.BatchEnergyModel):
            classes = torch.arange(distributed_model.CLASSES)
            anchors = part_of(classes, rank, size) if divided else labels
            loss = loss + model.energy(anchors)
        loss.backward()
        optimizer.step()
        loss = loss.detach()
        if size > 1:
            distributed.all_reduce(loss)
        losses.append(loss.item() / size)
    return distributed_model.record(losses, model)


def part_of(rows, rank, size):
    """The rows of one of `size` processes."""
    return rows[rank * len(rows) // size : (rank + 1) * len(rows) // size]


def work(rank, folder):
    """Trains in one of the processes and stores its records."""
    distributed.init_process_group(
        "gloo",
        init_method=(folder / "rendezvous").as_uri(),
        rank=rank,
        world_size=SIZE,
    )
    runs = {}
    for (form, way), (model_form, divided) in WAYS.items():
        model = distributed_model.make_model(model_form)
        if rank > 0:
            # DistributedDataParallel takes the weights of the first process.
            model.set_weights([w + 1.0 for w in model.get_weights()])
        runs[form, f"{way}_{rank}"] = train(
            model, rank=rank, size=SIZE, divided=divided
        )
    distributed.destroy_process_group()
    distributed_model.save(folder / f"process_{rank}.npz", runs)


def main(folder):
    runs = {
        (form, "one"): train(distributed_model.make_model(form))
        for form in ("regularizer", "anchors")
    }
    distributed_model.save(folder / "one.npz", runs)
    multiprocessing.spawn(work, (folder,), nprocs=SIZE)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
