(function(w,d,i){
var s=d.currentScript||d.querySelector('script[src*="'+i+'"]'),n=w.navigator,l=w.location,k="tally-off",g="tally:"+i,f=d.referrer,a,o,q,u,p;
if(!s||w[g])return;
w[g]=1;
a=s.src.replace(/\.js(\?.*)?$/,"");
try{
o=w.localStorage;
if(l.hash=="#tally-off"){o[k]?o.removeItem(k):o[k]=1;w.alert("Visits of this browser are "+(o[k]?"not ":"")+"counted.")}
q=o[k]
}catch(e){}
function fill(j){
d.querySelectorAll("[data-tally]").forEach(function(e){var v=j[e.getAttribute("data-tally")];if(v!=null)e.textContent=v})
}
function load(x,y){
w.fetch(x,y).then(function(x){return x.json()}).then(fill,function(){})
}
function send(r,e){
if(l.protocol.indexOf("http"))return;
var v="u="+encodeURIComponent(l.href.split("#")[0]),b=v+"&r="+encodeURIComponent(r)+"&w="+w.innerWidth+(e?"&e="+encodeURIComponent(e):""),t=w.fetch&&d.querySelector("[data-tally]");
if(q)t&&!e&&load(s.src.split(i)[0]+i+"/count?"+v,{credentials:"omit"});
else if(t)load(a,{method:"POST",body:b,headers:{"Content-Type":"text/plain",Accept:"application/json"},credentials:"omit",keepalive:true});
else if(!n.sendBeacon||!n.sendBeacon(a,b))new Image().src=a+"?"+b
}
function page(again){
var x=l.pathname+l.search;
if(x==u&&!again)return;
if(d.prerendering||d.visibilityState=="hidden"){p=1;return}
p=0;u=x;send(f);f=l.href
}
["pushState","replaceState"].forEach(function(m){
var h=w.history[m];
w.history[m]=function(){h.apply(this,arguments);page()}
});
w.addEventListener("popstate",function(){page()});
w.addEventListener("pageshow",function(e){if(e.persisted)page(1)});
["visibilitychange","prerenderingchange"].forEach(function(m){d.addEventListener(m,function(){if(p)page(1)})});
w.tally={event:function(e){e&&send("",e)}};
d.readyState=="loading"?d.addEventListener("DOMContentLoaded",function(){page()}):page()
})(window,document,"SITE")
