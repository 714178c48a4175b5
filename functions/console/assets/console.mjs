// The script of the console: what HTML cannot do. Every page works without it.

document.documentElement.dataset.scripts = "on";
