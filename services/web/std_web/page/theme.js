// Loaded before the first paint, so that a dark room is not lit by a light page for a moment.
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const wanted = () => localStorage.getItem("theme") ?? (dark.matches ? "dark" : "light");
  const apply = () => {
    document.documentElement.dataset.theme = wanted();
    document.dispatchEvent(new Event("themechange"));
  };
  apply();
  dark.addEventListener("change", apply);
  window.switchTheme = () => {
    localStorage.setItem("theme", wanted() === "dark" ? "light" : "dark");
    apply();
  };
})();
