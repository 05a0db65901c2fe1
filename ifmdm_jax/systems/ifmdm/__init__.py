"""IF-MDM (arXiv 2412.04000): one portrait and one voice -> a talking video."""
