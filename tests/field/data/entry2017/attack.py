"""A targeted attack in the manner of 2017: written for torch 0.3, on a GPU, on purpose. It must run as it is."""
# ruff: noqa: PLR0402, N812, Q000, NPY001, T201, D - old on purpose
import os
import sys

import numpy as np
import pandas as pd
import scipy.misc
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.autograd import Variable
from torch.autograd.gradcheck import zero_gradients
from torchvision import transforms

input_dir, output_dir = sys.argv[1], sys.argv[2]
epsilon, steps = int(sys.argv[3]), int(sys.argv[4])

torch.manual_seed(2017)
torch.cuda.manual_seed_all(2017)
model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AvgPool2d(32), nn.Conv2d(8, 10, 1))
model = torch.nn.DataParallel(model).cuda()
model.eval()
scale = transforms.Scale(32)

targets = pd.read_csv(os.path.join(input_dir, 'target_class.csv'), header=None, index_col=0)[1].to_dict()

for name in sorted(targets):
    pixels = scipy.misc.imread(os.path.join(input_dir, name), mode='RGB')
    assert scipy.misc.imresize(pixels, (32, 32)).shape == (32, 32, 3)
    clean = torch.from_numpy(pixels.transpose(2, 0, 1).astype(np.float) / 255.0).float().unsqueeze(0)
    target = Variable(torch.LongTensor([int(targets[name])]).cuda())
    adversarial = Variable(clean.cuda(), requires_grad=True)
    before = model(Variable(clean.cuda(), volatile=True)).view(1, -1)
    for step in range(steps):
        zero_gradients(adversarial)
        logits = model(adversarial).view(1, -1)
        loss = F.cross_entropy(logits, target, size_average=False)
        loss.backward()
        adversarial.data = adversarial.data - epsilon / 255.0 / steps * torch.sign(adversarial.grad.data)
        adversarial.data = torch.clamp(adversarial.data, 0, 1)
        print(name, step, float(loss.data[0]))
    made = adversarial.data.cpu().numpy()[0].transpose(1, 2, 0)
    scipy.misc.imsave(os.path.join(output_dir, name), np.round(made * 255.0).astype(np.uint8))
