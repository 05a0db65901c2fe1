"""Stage 1: one frame <-> appearance + motion code. From a box of the paper's figure to a file:

  appearance encoder, its feature maps           encoder.AppearanceEncoder
  motion encoder: the code of a few numbers      encoder.MotionHead
  motion directions added to the appearance      directions.Directions
  flow and mask at each resolution               flow.FlowHead
  synthesis network that warps the features      decoder.Synthesis
  refinement at full resolution                  refine.RefineBlock
  discriminator                                  discriminator.Discriminator
  reconstruction, perceptual, adversarial loss   losses
  the whole model, and how it is sampled with    model
  its adversarial training                       step
  all of it, as a config names it                paper

lite/ is our own small model of the same kind, for real time on a CPU.
"""
