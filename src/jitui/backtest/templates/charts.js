(() => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let drawn = [];
  let asPrinted = false;
  const draw = () => {
    drawn.forEach((chart) => chart.dispose());
    drawn = [];
    for (const figure of document.querySelectorAll("figure.chart")) {
      if (figure.closest("main").offsetParent === null) continue;
      figure.hidden = false;
      const size = { renderer: "svg", height: Number(figure.dataset.height) };
      if (asPrinted) size.width = 680;
      const theme = dark.matches && !asPrinted ? "dark" : null;
      const chart = echarts.init(figure.querySelector("div"), theme, size);
      const option = { backgroundColor: "transparent", animation: false, ...charts[figure.id] };
      if (asPrinted) option.legend = { ...option.legend, type: "plain" };
      chart.setOption(option);
      drawn.push(chart);
    }
  };
  for (const language of document.querySelectorAll("input[name=language]")) {
    language.addEventListener("change", () => draw());
  }
  let width = innerWidth;
  addEventListener("resize", () => {
    if (width === innerWidth) return;
    width = innerWidth;
    draw();
  });
  dark.addEventListener("change", () => draw());
  const print = (value) => {
    asPrinted = value;
    draw();
  };
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
  draw();
})();
