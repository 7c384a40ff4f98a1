(() => {
  // Search boxes need this script, so they are hidden without it.
  for (const box of document.querySelectorAll("p.search")) {
    const input = box.querySelector("input");
    const status = box.querySelector("[role=status]");
    const root = document.getElementById(input.dataset.search);
    const items = [...root.querySelectorAll("[data-name]")];
    const folds = [...root.children].filter((child) => child.matches("details"));
    box.hidden = false;
    input.addEventListener("input", () => {
      const wanted = input.value.trim().toLowerCase();
      let found = 0;
      for (const item of items) {
        const fits = item.dataset.name.toLowerCase().includes(wanted);
        item.hidden = !fits;
        found += fits;
      }
      for (const fold of folds) fold.open = wanted !== "";
      status.textContent = wanted ? `${found} of ${items.length}` : "";
    });
  }
  // A link into a fold opens it.
  const unfold = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let at = target; at; at = at.parentElement) if (at.matches("details")) at.open = true;
  };
  addEventListener("hashchange", unfold);
  unfold();
  // Paper has no folds to open.
  addEventListener("beforeprint", () => {
    for (const fold of document.querySelectorAll("details")) fold.open = true;
  });
})();
