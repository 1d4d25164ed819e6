"""What a model is, in words, figures and charts: for the person who was handed the file and not the story.

One structure, `content.model_card`, is written as Markdown and as a page of HTML that needs nothing else.
"""
