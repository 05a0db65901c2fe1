"""How the studio looks: theme, words at the top and at the bottom, what Gradio leaves unnamed."""

import pathlib

import gradio as gr

CSS = pathlib.Path(__file__).with_name('studio.css')
SYSTEM = 'system-ui', '-apple-system', 'Segoe UI', 'sans-serif'  # no font comes from anywhere
HEAD = (
  '<header class="head"><h1>Studio</h1>'
  '<p>A portrait and a voice become a talking video, on this machine alone.</p></header>'
)
FOOT = (
  '<footer class="foot"><p>Animate only faces that you may animate. Every video says that it is '
  'synthetic. What you upload stays on this machine and is deleted when you close the page.</p>'
  '</footer>'
)
# Gradio gives some of its own controls no name for those who do not see them.
JS = """() => {
  document.documentElement.lang = 'en';
}"""


def theme():
  """Returns the theme: warm greys, one calm colour, fonts of the system."""
  return gr.themes.Base(
    primary_hue='teal', secondary_hue='teal', neutral_hue='stone', font=SYSTEM,
    font_mono=('ui-monospace', 'Menlo', 'Consolas', 'monospace'), radius_size='lg',
    text_size='md', spacing_size='md',
  ).set(
    color_accent='*primary_700', color_accent_soft_dark='*primary_900',
    body_background_fill='*neutral_50', body_background_fill_dark='*neutral_950',
    body_text_color='*neutral_800', body_text_color_dark='*neutral_100',
    body_text_color_subdued='*neutral_600', body_text_color_subdued_dark='*neutral_400',
    block_background_fill='white', block_background_fill_dark='*neutral_900',
    block_border_width='1px', block_border_color='*neutral_200',
    block_border_color_dark='*neutral_800', block_shadow='none', block_shadow_dark='none',
    block_label_background_fill='*block_background_fill',
    block_label_background_fill_dark='*block_background_fill',
    block_label_border_width='0px', block_label_text_color='*neutral_600',
    block_label_text_color_dark='*neutral_300', block_title_text_color='*neutral_700',
    block_title_text_color_dark='*neutral_200', block_title_text_weight='500',
    block_info_text_color='*neutral_600', block_info_text_color_dark='*neutral_400',
    input_background_fill='white', input_background_fill_dark='*neutral_950',
    input_border_color='*neutral_300', input_border_color_dark='*neutral_700',
    input_border_width='1px',
    button_primary_background_fill='*primary_700',
    button_primary_background_fill_hover='*primary_800',
    button_primary_background_fill_dark='*primary_700',
    button_primary_background_fill_hover_dark='*primary_600',
    button_primary_text_color='white', button_primary_text_color_dark='white',
    button_secondary_background_fill='white', button_secondary_background_fill_dark='*neutral_800',
    button_secondary_border_color='*neutral_300', button_secondary_border_color_dark='*neutral_700',
    slider_color='*primary_600', slider_color_dark='*primary_500',
    checkbox_background_color_selected='*primary_700',
    checkbox_background_color_selected_dark='*primary_600',
    checkbox_border_color='*neutral_400', checkbox_border_color_dark='*neutral_500',
    checkbox_label_background_fill='transparent', checkbox_label_background_fill_dark='transparent',
    checkbox_label_background_fill_selected='*primary_50',
    checkbox_label_background_fill_selected_dark='*primary_950',
  )  # fmt: skip
