import "./style.css";

const clock = document.querySelector("#clock");
const tick = () => (clock.textContent = new Date().toLocaleTimeString());
setInterval(tick, 1000);
tick();
