"""Few-step motion: a student of stage 2 that needs 4 evaluations and no second pass for guidance.

  python -m ifmdm_jax.train --config distill:lite --workdir runs/student \
      --init_from runs/motion

The teacher is runs/motion; another: --config.model.teacher=DIR (or motion.safetensors of a release,
for --init_from as well). Then --checkpoint runs/student samples with it. Two evaluations: a second
round with --config.model.teacher=runs/student --init_from runs/student
--config.model.guidance=1 --config.model.student_steps=2 --config.model.substeps=2.

Expected of `lite`: its teacher's figures with a fifth of the evaluations (experiments/steps).
"""

from ifmdm_jax.configs import motion
from ifmdm_jax.systems.ifmdm.motion import distill

STUDENTS = {
  'paper': dict(student_steps=4, substeps=4, guidance=2.0),
  'lite': dict(student_steps=4, substeps=3, guidance=2.0),
  'tiny': dict(student_steps=2, substeps=2, guidance=1.5),  # tests
}
OPTIMS = {
  'paper': dict(peak_lr=5e-5, schedule='constant'),
  'lite': dict(peak_lr=3e-4, schedule='cosine', warmup_steps=20),
  'tiny': dict(peak_lr=1e-3, schedule='constant'),
}
TRAIN = {
  'paper': dict(steps=50_000, batch=128, ema=0.999, ema_ramp=True),
  'lite': dict(steps=400, batch=16, ema=0.98, eval_every=100),
  'tiny': dict(steps=10, batch=4, ema=0.9, eval_every=0),
}


def get_config(size='lite'):
  config = motion.get_config(size)
  config.model.module = 'ifmdm_jax.systems.ifmdm.motion.distill'
  config.model.teacher = 'runs/motion'
  config.model.update(STUDENTS[size])
  config.optim.update(OPTIMS[size])
  config.train.update(TRAIN[size])
  config.sampler = distill.advice(config.model)
  return config


def sweep(add):
  for substeps in (2, 3, 4):
    add({'model.substeps': substeps})
