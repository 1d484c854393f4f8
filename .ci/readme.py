"""Print the commands of the README's code blocks under one heading marker.

A block belongs to the marker ``<!-- ci: NAME -->`` on the line before it.
"""

import re
import sys
from pathlib import Path

text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
blocks = re.findall(r"<!-- ci: (\w+) -->\n```(bash|python)\n(.*?)```", text, flags=re.DOTALL)
wanted = [(language, code) for name, language, code in blocks if name == sys.argv[1]]
unmarked = len(re.findall(r"^```(?:bash|python)\n", text, flags=re.MULTILINE)) - len(blocks)
if not wanted or unmarked:
    sys.exit(f"README.md: {len(wanted)} blocks for {sys.argv[1]!r}, {unmarked} without a marker")
for language, code in wanted:
    print(code if language == "bash" else f"python - <<'PYTHON'\n{code}PYTHON\n")
