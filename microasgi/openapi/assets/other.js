// Start Swagger UI, Redoc or Scalar, whose bundle the page has loaded before this file.
"use strict";
(() => {
  const { document: given, ui } = document.body.dataset;
  const url = new URL(given, location.href).href;
  const start = {
    swagger: () => SwaggerUIBundle({ url, dom_id: "#ui", deepLinking: true, validatorUrl: null }),
    redoc: () => Redoc.init(url, {}, document.getElementById("ui")),
    scalar: () => Scalar.createApiReference("#ui", { url, withDefaultFonts: false, telemetry: false }),
  };
  start[ui]();
})();
