"""The rules, one module a topic: each looks at one step, and says nothing where it cannot know."""
