// Before anything is drawn: the reader's choice of light or dark, and the one way by which text becomes HTML here.
// What htmx puts into the page came from this gateway, which escaped it; scripts and their addresses are made of no text.
"use strict";
const chosen = localStorage.getItem("theme");
if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
document.documentElement.dataset.script = "on";
if (window.trustedTypes) trustedTypes.createPolicy("default", { createHTML: (html) => html });
