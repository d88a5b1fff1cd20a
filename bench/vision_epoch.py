"""One training epoch of vision.classifier's network as a PyTorch user would write it: the baseline of vision_epoch.cc.

Prints a line "wall_seconds cpu_seconds" for every epoch but the first, which warms the caches up.
"""
import resource
import sys
import time

import torch
from torch import nn
import torch.nn.functional as F

ROWS, THREADS, EPOCHS = (int(word) for word in sys.argv[1:4])
BATCH, WIDTH, RATE = 128, 24, 0.005


def block(inputs, outputs):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.MaxPool2d(2),
                         nn.BatchNorm2d(outputs), nn.ReLU())


def augment(images):
    mirrored = torch.rand(len(images), 1, 1, 1) < 0.5
    return torch.where(mirrored, images.flip(3), images)


def cpu_seconds():
    use = resource.getrusage(resource.RUSAGE_SELF)
    return use.ru_utime + use.ru_stime


def main():
    torch.set_num_threads(THREADS)
    torch.manual_seed(7)
    images = torch.randint(0, 256, (ROWS, 1, 28, 28), dtype=torch.uint8)
    labels = torch.arange(ROWS) % 10
    mean, deviation = images.float().mean(), images.float().std()
    net = nn.Sequential(block(1, WIDTH), block(WIDTH, 2 * WIDTH), block(2 * WIDTH, 4 * WIDTH), nn.Flatten(),
                        nn.Linear(4 * WIDTH * 9, 10)).to(memory_format=torch.channels_last)
    groups = [{"params": [p for p in net.parameters() if p.dim() > 1], "weight_decay": 0.01},
              {"params": [p for p in net.parameters() if p.dim() <= 1], "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=RATE)
    steps = (ROWS + BATCH - 1) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps * EPOCHS, pct_start=0.2)
    net.train()
    for epoch in range(EPOCHS):
        wall, cpu, total = time.perf_counter(), cpu_seconds(), torch.zeros(())
        for rows in torch.randperm(ROWS).tensor_split(steps):
            batch = augment(images[rows]).float().contiguous(memory_format=torch.channels_last)
            loss = F.cross_entropy(net((batch - mean) / deviation), labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.detach()
        total.item()
        if epoch > 0:
            print(time.perf_counter() - wall, cpu_seconds() - cpu, flush=True)


main()
