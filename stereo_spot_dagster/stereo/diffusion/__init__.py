"""What DepthCrafter and StereoCrafter share: the networks of Stable Video Diffusion and how they are run."""
