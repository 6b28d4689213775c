// The page of the public API. The key that is typed in stays in this tab: nothing of it is stored.
"use strict";

window.addEventListener("load", () => {
  window.SwaggerUIBundle({
    url: "/v1/openapi.json",
    dom_id: "#api",
    deepLinking: true,
    presets: [window.SwaggerUIBundle.presets.apis],
    // The package would have a server elsewhere look at the document.
    validatorUrl: null,
    persistAuthorization: false,
    defaultModelsExpandDepth: 0,
    tryItOutEnabled: false,
  });
});
