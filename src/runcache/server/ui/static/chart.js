// Draws tables of days as charts. The numbers are those of the table, so that both say the same; where
// there is no script, the table is all there is.
"use strict";

(() => {
  const DAY_SECONDS = 86_400;
  const UNITS = ["B", "KB", "MB", "GB", "TB", "PB"];

  const count = (value) => value.toLocaleString("en");

  function size(value) {
    let amount = value;
    let unit = 0;
    while (amount >= 999.5 && unit < UNITS.length - 1) {
      amount /= 1000;
      unit += 1;
    }
    const digits = unit === 0 || amount >= 99.5 ? 0 : amount >= 9.95 ? 1 : 2;
    return `${Number(amount.toFixed(digits))} ${UNITS[unit]}`;
  }

  // Steps between the lines of the grid: bytes come in round decimal sizes, lookups are whole.
  const STEPS = [1, 2, 5].flatMap((digit) => [...Array(16).keys()].map((power) => digit * 10 ** power));
  STEPS.sort((one, other) => one - other);

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function read(table, names) {
    const rows = [...table.querySelectorAll("tbody tr[data-day]")];
    rows.sort((one, other) => one.dataset.day.localeCompare(other.dataset.day));
    const numbers = (name) =>
      rows.map((row) => Number(row.querySelector(`[data-series="${name}"]`).dataset.value));
    const days = rows.map((row) => Date.parse(`${row.dataset.day}T00:00:00Z`) / 1000);
    return [days, ...names.map(numbers)];
  }

  function options(figure, table, names, width) {
    const text = figure.dataset.format === "size" ? size : count;
    const axis = {
      stroke: colour("--text-muted"),
      font: "12px system-ui, sans-serif",
      grid: { stroke: colour("--chart-grid"), width: 1 },
      ticks: { show: false },
    };
    const series = names.map((name, place) => ({
      label: table.querySelector(`th[data-series="${name}"]`).textContent.trim(),
      fill: colour(`--chart-${name}`),
      stroke: colour(`--chart-${name}`),
      width: 0,
      points: { show: false },
      // The bars of a day stand side by side, around its middle.
      paths: uPlot.paths.bars({ size: [0.36, 18], align: place === 0 ? -1 : 1, radius: 0.15 }),
      // Where the pointer is on no day, the legend has the sums.
      value: (chart, value, column, day) =>
        text(day == null ? chart.data[column].reduce((sum, one) => sum + one, 0) : value),
    }));
    const day = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", timeZone: "UTC" });
    const name = (seconds) => day.format(new Date(seconds * 1000));
    return {
      width,
      height: 200,
      padding: [8, 8, 0, 0],
      cursor: { drag: { x: false, y: false }, points: { show: false }, y: false },
      scales: {
        x: { time: false, range: (_chart, from, to) => [from - DAY_SECONDS / 2, to + DAY_SECONDS / 2] },
        y: { range: (_chart, _from, to) => [0, Math.max(to * 1.08, 1)] },
      },
      axes: [
        {
          ...axis,
          grid: { show: false },
          size: 28,
          incrs: [1, 2, 7, 14, 30].map((days) => days * DAY_SECONDS),
          space: 60,
          values: (_chart, places) => places.map(name),
        },
        { ...axis, incrs: STEPS, size: 62, values: (_chart, places) => places.map(text) },
      ],
      series: [{ label: "Day", value: (_chart, value) => (value == null ? "all" : name(value)) }, ...series],
    };
  }

  function draw(figure) {
    const table = document.getElementById(figure.dataset.table);
    const names = figure.dataset.series.split(" ");
    const place = figure.querySelector(".chart-place");
    const numbers = read(table, names);
    let chart = null;
    const redraw = () => {
      chart?.destroy();
      chart = new uPlot(options(figure, table, names, place.clientWidth), numbers, place);
    };
    figure.hidden = false;
    redraw();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    new ResizeObserver(() => {
      if (chart.width !== place.clientWidth) {
        chart.setSize({ width: place.clientWidth, height: chart.height });
      }
    }).observe(place);
  }

  document.querySelectorAll("figure[data-series]").forEach(draw);
  document.querySelectorAll("details[data-folds]").forEach((numbers) => {
    numbers.open = false;
  });
})();
