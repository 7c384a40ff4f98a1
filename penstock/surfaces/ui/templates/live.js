(() => {
  // How what is shown stands is asked for again and again, and the page itself when that has
  // changed. Only parts that changed are put in, so that the rest keeps its folds, its focus and
  // its place. Without this script a page is as when it was loaded.
  const shown = document.querySelector("[data-state]");
  const soon = 1000, later = 3000;
  let renewing = false;
  const follow = async () => {
    try {
      const known = { "if-none-match": `"${shown.dataset.version}"` };
      const answer = await fetch(shown.dataset.state, { headers: known, cache: "no-store" });
      if (answer.status === 200) {
        const state = await answer.json();
        const status = document.querySelector('[data-live="status"]');
        // The page may take longer than this, if its report has much to read.
        if (status && state.status) status.textContent = state.status;
        if (!renewing) load();
      }
    } catch {
      // The server is gone, or does not answer now.
    }
    again();
  };
  const load = async () => {
    renewing = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = page.querySelector("[data-state]");
        document.title = page.title;
        if (fresh.dataset.whole) {
          // It is over: everything that it made is there now.
          renew(document.getElementById("main"), page.getElementById("main"));
        } else {
          for (const part of page.querySelectorAll("[data-live]")) {
            const known = document.querySelector(`[data-live="${part.dataset.live}"]`);
            if (known && known.innerHTML !== part.innerHTML) renew(known, part);
          }
        }
        Object.assign(shown.dataset, fresh.dataset);
      }
    } catch {
      // As above: it is asked for again.
    }
    renewing = false;
  };
  const again = () => {
    const wait = shown.dataset.running || renewing ? soon : later;
    setTimeout(() => {
      if (!document.hidden) follow();
      else document.addEventListener("visibilitychange", follow, { once: true });
    }, wait);
  };
  const renew = (known, part) => {
    const marked = [...known.querySelectorAll("input:checked")].map((input) => input.value);
    const focused = known.contains(document.activeElement) && document.activeElement;
    const way = focused && (focused.getAttribute("href") || focused.getAttribute("aria-label"));
    known.innerHTML = part.innerHTML;
    for (const input of known.querySelectorAll("input")) input.checked = marked.includes(input.value);
    const again = way && [...known.querySelectorAll("[href], [aria-label]")].find(
      (element) => (element.getAttribute("href") || element.getAttribute("aria-label")) === way);
    if (again) again.focus({ preventScroll: true });
    for (const log of known.querySelectorAll("pre.log")) log.scrollTop = log.scrollHeight;
  };
  for (const log of document.querySelectorAll("pre.log")) log.scrollTop = log.scrollHeight;
  if (shown) again();
})();
