(() => {
  // What is under way is asked for again; only parts that changed are put in, so that the rest
  // keeps its folds, its focus and its place. Without this script a page is as when it was loaded.
  const parts = () => [...document.querySelectorAll("[data-live]")];
  const running = () => parts().some((part) => part.dataset.running === "yes");
  const follow = async () => {
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = [...page.querySelectorAll("[data-live]")];
        const goesOn = fresh.some((part) => part.dataset.running === "yes");
        if (goesOn) {
          for (const part of fresh) {
            const known = document.querySelector(`[data-live="${part.dataset.live}"]`);
            if (known && known.innerHTML !== part.innerHTML) renew(known, part);
          }
        } else {
          // It is over: everything that it made is there now.
          document.title = page.title;
          renew(document.getElementById("main"), page.getElementById("main"));
        }
      }
    } catch {
      // The server is gone, or does not answer now.
    }
    if (running()) setTimeout(follow, 1000);
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
  if (running()) setTimeout(follow, 1000);
})();
